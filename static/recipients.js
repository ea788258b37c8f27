/*
Recipients: a textarea with data-recipients becomes chips, completed from customers and colleagues.

  data-recipients="address"   that address, asked with ?q=…, answers with a <ul> of <li role="option" data-value="…">

The textarea keeps what is sent: entries with commas between them, as one would type them without this script.
*/
"use strict";

(() => {
  /* Splits at commas, semicolons and line ends that stand in no quotes and no angle brackets. */
  const entriesIn = (text) => {
    const entries = [];
    let entry = "";
    let quoted = false;
    let bracketed = false;
    for (const letter of text) {
      if (letter === '"' && !bracketed) quoted = !quoted;
      else if (letter === "<" && !quoted) bracketed = true;
      else if (letter === ">") bracketed = false;
      if (/[,;\n]/.test(letter) && !quoted && !bracketed) {
        entries.push(entry.trim());
        entry = "";
      } else entry += letter;
    }
    entries.push(entry.trim());
    return entries.filter(Boolean);
  };
  const isAddress = (entry) => /^[^\s@<>]+@[^\s@<>]+$|<[^\s@<>]+@[^\s@<>]+>$/.test(entry);
  const nameIn = (entry) => entry.match(/^"?([^"<]+?)"?\s*<.+>$/)?.[1] ?? entry;

  let number = 0;

  const makeRecipients = (textarea) => {
    const list = document.createElement("div");
    list.className = "suggestions";
    list.id = `suggestions-${++number}`;
    list.hidden = true;
    const input = document.createElement("input");
    Object.assign(input, { type: "text", id: `${textarea.id}_recipients`, autocomplete: "off", spellcheck: false });
    input.autocapitalize = "none";
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-expanded", "false");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-controls", list.id);
    if (textarea.hasAttribute("aria-describedby")) {
      input.setAttribute("aria-describedby", textarea.getAttribute("aria-describedby"));
    }
    const box = document.createElement("div");
    box.className = "chip-box";
    box.append(input);
    textarea.hidden = true;
    textarea.after(box, list);
    const caption = document.querySelector(`label[for="${textarea.id}"]`);
    if (caption) caption.htmlFor = input.id;

    const save = (entries) => {
      textarea.value = entries.join(", ");
      draw();
      textarea.dispatchEvent(new Event("change", { bubbles: true }));
    };
    const draw = () => {
      for (const chip of box.querySelectorAll(".chip")) chip.remove();
      entriesIn(textarea.value).forEach((entry, index) => {
        const chip = document.createElement("span");
        chip.className = isAddress(entry) ? "chip" : "chip chip--wrong";
        chip.title = isAddress(entry) ? entry : `${entry} is no e-mail address`;
        chip.append(nameIn(entry));
        const remove = document.createElement("button");
        Object.assign(remove, { type: "button", className: "chip__remove", textContent: "×" });
        remove.setAttribute("aria-label", `Remove ${entry}`);
        remove.addEventListener("click", () => {
          save(entriesIn(textarea.value).filter((_, other) => other !== index));
          input.focus();
        });
        chip.append(remove);
        input.before(chip);
      });
      // A long list scrolls: to what is wrong in it, else to where one writes on.
      const wrong = box.querySelector(".chip--wrong");
      box.scrollTop = wrong ? wrong.offsetTop - box.offsetTop : box.scrollHeight;
    };
    const take = (text = input.value) => {
      const added = entriesIn(text);
      input.value = "";
      close();
      if (added.length) save([...new Set([...entriesIn(textarea.value), ...added])]);
    };

    const options = () => [...list.querySelectorAll("[role=option]")];
    const chosen = () => list.querySelector("[aria-selected=true]");
    const choose = (option) => {
      for (const each of options()) each.setAttribute("aria-selected", String(each === option));
      if (option) input.setAttribute("aria-activedescendant", option.id);
      else input.removeAttribute("aria-activedescendant");
      option?.scrollIntoView({ block: "nearest" });
    };
    const close = () => {
      list.hidden = true;
      list.replaceChildren();
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    };
    let question = 0;
    const suggest = async () => {
      const words = input.value.trim();
      const asked = ++question;
      if (!words) return close();
      const answer = await fetch(`${textarea.dataset.recipients}?${new URLSearchParams({ q: words })}`);
      if (!answer.ok || asked !== question || document.activeElement !== input) return undefined;
      const found = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("ul");
      list.replaceChildren(...(found ? [found] : []));
      options().forEach((option, index) => {
        option.id = `${list.id}-${index}`;
      });
      list.hidden = options().length === 0;
      input.setAttribute("aria-expanded", String(!list.hidden));
      choose(options()[0]);
      return undefined;
    };
    let pause;
    input.addEventListener("input", () => {
      clearTimeout(pause);
      pause = setTimeout(suggest, 120);
    });
    input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        const all = options();
        if (!all.length) return;
        event.preventDefault();
        const step = event.key === "ArrowDown" ? 1 : -1;
        choose(all[(all.indexOf(chosen()) + step + all.length) % all.length]);
      } else if (["Enter", "Tab"].includes(event.key) && chosen() && input.value.trim()) {
        event.preventDefault();
        take(chosen().dataset.value);
      } else if (["Enter", ",", ";"].includes(event.key) && input.value.trim()) {
        event.preventDefault();
        take();
      } else if (event.key === "Escape" && !list.hidden) {
        event.preventDefault();
        close();
      } else if (event.key === "Backspace" && !input.value) {
        save(entriesIn(textarea.value).slice(0, -1));
      } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
      }
    });
    input.addEventListener("paste", (event) => {
      const text = event.clipboardData.getData("text");
      if (!text.includes("@")) return;
      event.preventDefault();
      take(input.value + text);
    });
    input.addEventListener("blur", () => take());
    list.addEventListener("mousedown", (event) => {
      const option = event.target.closest("[role=option]");
      event.preventDefault();
      if (option) take(option.dataset.value);
    });
    // What was typed and not yet turned into a chip is sent too, so that the server can judge it.
    textarea.form.addEventListener("formdata", (event) => {
      if (input.value.trim()) {
        event.formData.set(textarea.name, [textarea.value, input.value].filter(Boolean).join(", "));
      }
    });
    draw();
  };

  for (const textarea of document.querySelectorAll("textarea[data-recipients]")) makeRecipients(textarea);
})();
