/*
The editor inside its frame (templates/compose/frame.html). Squire works on the document that it is loaded into, so it
lives here, under a policy that lets mail have its styles and nothing else. The page around it holds the toolbar and
reaches the editor as `contentWindow.editor`; it is told by the event `editor-ready` on the frame.
*/
"use strict";

(() => {
  const root = document.getElementById("editor");
  const written = root.innerHTML;
  const editor = new Squire(root, {
    blockTag: "DIV",
    addLinks: true,
    sanitizeToDOMFragment: (html) =>
      DOMPurify.sanitize(html, {
        RETURN_DOM_FRAGMENT: true,
        FORBID_TAGS: ["style", "form", "input", "textarea", "button", "select", "svg", "math"],
        FORBID_ATTR: ["class", "id", "name"],
        ALLOW_DATA_ATTR: false,
        ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|tel:|cid:|\/mail\/drafts\/|data:image\/(?:png|jpeg|gif|webp);)/i,
      }),
  });
  /* What brings looks of its own, such as a quotation, is made for white paper and stays on it in a dark portal. */
  const showLooks = () => {
    const has = root.querySelector("[style], [bgcolor], [color]") !== null;
    document.documentElement.classList.toggle("has-looks", has);
  };
  editor.addEventListener("input", showLooks);
  editor.setHTML(written);
  showLooks();
  // Formatting that was given up at the end of a line is not taken up by the next one, which Squire would do.
  const FORMATS = { B: "removeBold", I: "removeItalic", U: "removeUnderline" };
  const splitBlock = editor.splitBlock.bind(editor);
  editor.splitBlock = (...given) => {
    const others = Object.keys(FORMATS).filter((tag) => !editor.hasFormat(tag));
    splitBlock(...given);
    for (const tag of others) if (editor.hasFormat(tag)) editor[FORMATS[tag]]();
    return editor;
  };
  editor.moveCursorToStart();
  window.editor = editor;
  window.frameElement.dispatchEvent(new Event("editor-ready"));
})();
