// The key: kept in this tab, sent as a header, never part of an address.
import { tab } from "./kept.js";

let asking = null;

export function key() {
  return tab.get("key", "");
}

// Ask for the key; whoever asks meanwhile waits for the same answer.
export function unlock(why) {
  asking ??= new Promise((resolve) => {
    const door = document.getElementById("door");
    const field = document.getElementById("key");
    document.getElementById("door-why").textContent = why;
    field.value = "";
    document.getElementById("unlock").onsubmit = (event) => {
      event.preventDefault();
      tab.set("key", field.value.trim());
      field.value = "";
      asking = null;
      door.close();
      resolve();
    };
    door.onclose = () => asking && door.showModal(); // Escape leads nowhere
    door.showModal();
  });
  return asking;
}
