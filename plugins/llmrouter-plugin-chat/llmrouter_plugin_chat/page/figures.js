// Figures for people.

// Dollars with the digits that tell something: $12.35, $0.0021, $0.
export function dollars(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "price unknown";
  if (value < 0) return `−${dollars(-value)}`;
  if (value === 0) return "$0";
  if (value < 1e-7) return "under $0.0000001";
  const digits = value >= 0.1 ? 2 : Math.min(8, 1 - Math.floor(Math.log10(value)));
  return `$${value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: digits })}`;
}

export function count(value) {
  return Math.round(value).toLocaleString("en");
}

// Return how many, with the right form of the word.
export function many(value, word) {
  return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}

export function seconds(value) {
  if (value < 1) return `${Math.round(1000 * value)} ms`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;
}

export function percent(share) {
  return `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}
