/*
Keyboard shortcuts, asked for by attributes on what they work; pages need no script of their own:

  data-shortcut="e, #"       on a link, button or box: each of these keys clicks it; on a field: moves there. "g i" is two keys
                             one after the other, a capital letter one with Shift
  data-shortcut-label="…"    what the overlay says of it; else its aria-label, title or words
  data-items                 on a list: j and k move from one of its [data-item] to the next, Enter or o opens its
                             [data-item-link]

Within a list a shortcut works what stands in the item that has the focus, else in the one that is open (aria-current).
The overlay (?) lists what the page at hand has. Nothing happens while somebody types, in a dialog, or with Ctrl, Alt or Meta.
*/
"use strict";

(() => {
  const PATIENCE = 1500;
  let first = "";
  let forget = 0;

  const keysOf = (element) => element.dataset.shortcut.split(",").map((keys) => keys.trim());
  const isTyping = (element) =>
    element.isContentEditable || element.matches("textarea, select, input:not([type=checkbox], [type=radio], [type=button])");

  const currentItem = () =>
    document.activeElement?.closest("[data-item]") || document.querySelector("[data-items] > [data-item][aria-current]");

  const find = (keys) => {
    const fit = [...document.querySelectorAll("[data-shortcut]")].filter(
      (element) => keysOf(element).includes(keys) && !element.disabled && !element.closest("[hidden], dialog:not([open])"),
    );
    const item = currentItem();
    return (
      (item && fit.find((element) => item.contains(element))) || fit.find((element) => !element.closest("[data-item]"))
    );
  };

  const work = (element) => {
    if (isTyping(element)) {
      element.focus();
      element.select?.();
      return;
    }
    element.click();
    if (element.matches("summary") && element.parentElement.open) {
      element.parentElement.querySelector("button, a")?.focus();
    }
  };

  const move = (list, step) => {
    const items = [...list.querySelectorAll(":scope > [data-item]")];
    const at = items.indexOf(currentItem());
    const next = items[at < 0 ? (step > 0 ? 0 : items.length - 1) : at + step];
    if (!next) return;
    next.querySelector("[data-item-link]").focus();
    next.scrollIntoView({ block: "nearest" });
  };

  // What the overlay shows: each key once, in the order of the page.
  const known = () => {
    const entries = new Map();
    if (document.querySelector("[data-items]")) {
      entries.set("j", "Next conversation");
      entries.set("k", "Previous conversation");
      entries.set("Enter, o", "Open it");
    }
    for (const element of document.querySelectorAll("[data-shortcut]")) {
      if (element.closest("[hidden], dialog") || entries.has(element.dataset.shortcut)) continue;
      const { shortcutLabel } = element.dataset;
      const words = shortcutLabel || element.getAttribute("aria-label") || element.title || element.textContent.trim();
      entries.set(element.dataset.shortcut, words);
    }
    return entries;
  };

  const overlay = () => {
    const dialog = document.createElement("dialog");
    dialog.className = "dialog shortcuts";
    dialog.id = "shortcuts";
    const title = document.createElement("h2");
    title.textContent = "Keyboard shortcuts";
    title.id = "shortcuts-title";
    dialog.setAttribute("aria-labelledby", title.id);
    const list = document.createElement("dl");
    list.className = "shortcuts__list";
    list.tabIndex = 0;
    const form = document.createElement("form");
    form.method = "dialog";
    const close = document.createElement("button");
    close.className = "button";
    close.textContent = "Close";
    close.autofocus = true;
    form.append(close);
    dialog.append(title, list, form);
    // However it is opened, it shows what the page has at that moment.
    new MutationObserver(() => {
      if (!dialog.open) return;
      list.replaceChildren();
      for (const [shortcut, words] of known()) {
        const term = document.createElement("dt");
        shortcut.split(",").forEach((keys, number) => {
          if (number) term.append(" or ");
          for (const key of keys.trim().split(" ")) {
            const cap = document.createElement("kbd");
            cap.textContent = /^[A-Z]$/.test(key) ? `Shift+${key}` : key;
            term.append(cap, " ");
          }
        });
        const meaning = document.createElement("dd");
        meaning.textContent = words;
        list.append(term, meaning);
      }
    }).observe(dialog, { attributeFilter: ["open"] });
    document.body.append(dialog);
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.defaultPrevented) return;
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const keys = first ? `${first} ${event.key}` : event.key;
    const list = document.querySelector("[data-items]");
    clearTimeout(forget);
    first = "";
    if (list && (keys === "j" || keys === "k")) {
      move(list, keys === "j" ? 1 : -1);
    } else if (list && keys === "o") {
      currentItem()?.querySelector("[data-item-link]")?.click();
    } else {
      const element = find(keys);
      if (!element) {
        const begins = [...document.querySelectorAll("[data-shortcut]")].some((each) =>
          keysOf(each).some((other) => other.startsWith(`${event.key} `)),
        );
        if (begins) {
          first = event.key;
          forget = setTimeout(() => (first = ""), PATIENCE);
        }
        return;
      }
      work(element);
    }
    event.preventDefault();
  });

  document.addEventListener("DOMContentLoaded", () => {
    overlay();
    for (const button of document.querySelectorAll('[data-opens="shortcuts"]')) button.hidden = false;
  });
})();
