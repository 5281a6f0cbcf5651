// What a model writes is anybody's text: Markdown without HTML, then only what is harmless.
import MarkdownIt from "./vendor/markdown-it.esm.min.mjs";
import purifier from "./vendor/purify.es.mjs";

const TAGS = [
  "a", "blockquote", "br", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
  "li", "ol", "p", "pre", "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
];

const markdown = new MarkdownIt({ html: false, linkify: true, breaks: true });
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false }); // main.py is no address
const rules = markdown.renderer.rules;

// A picture would be fetched from wherever the text says, and tell that it was read: a link is not.
rules.image = (tokens, index) => {
  const [source, name] = [tokens[index].attrGet("src"), tokens[index].content || "picture"];
  const escape = markdown.utils.escapeHtml;
  return `<a href="${escape(source)}">${escape(name)}</a>`;
};
rules.table_open = () => '<div class="wide"><table>';
rules.table_close = () => "</table></div>";
rules.th_open = rules.td_open = (tokens, index, options, env, self) => {
  const token = tokens[index];
  const side = token.attrGet("style")?.replace("text-align:", ""); // a page without inline styles
  token.attrs = side ? [["class", side]] : null;
  return self.renderToken(tokens, index, options);
};

purifier.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  }
  if (node.tagName === "PRE" || node.className === "wide") {
    node.setAttribute("tabindex", "0"); // what scrolls must be reached by the keyboard
  }
});

// Return *text* as nodes to show.
export function render(text) {
  return purifier.sanitize(markdown.render(text), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ["href", "start", "class"],
    ALLOWED_URI_REGEXP: /^(https?|mailto):/i,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
}
