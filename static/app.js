/*
Small helpers; every page works without them. Behaviour is asked for by attributes, so pages need no script of their own:

  data-opens="id"            opens the <dialog id> as a modal
  data-dismiss=".selector"   removes the nearest ancestor that matches
  data-copy="#id"            copies the value or text of an element
  data-confirm="question"    on a form or its button: asks before submitting
  data-autosubmit            on a form control: submits its form on change
  data-shown-when="name=a|b" shows the element while the form control `name` has one of the values (checkbox: "on" or "off");
                             what is hidden is disabled, so it is not sent
  data-guess-time-zone       on a select of time zones: chooses the browser's, unless something else than UTC is chosen
  data-chips                 on a textarea: lines become chips; data-chips-max="5" counts them and refuses more,
                             data-chips-label names one, data-chips-first="primary" what the first one is: others can become it
  data-lasts="10"            removes the element after so many seconds: what it offers would only fail then
  data-selects="name"        on a checkbox: ticks or unticks all checkboxes `name` of its form, and shows their state
*/
"use strict";

(() => {
  const icon = (name) => {
    const sprite = document.documentElement.dataset.icons;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    use.setAttribute("href", `${sprite}#${name}`);
    svg.append(use);
    return svg;
  };

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-opens], [data-dismiss], [data-copy]");
    if (!target) {
      for (const menu of document.querySelectorAll("details.menu[open]")) {
        if (!menu.contains(event.target)) menu.open = false;
      }
      return;
    }
    if (target.dataset.opens) {
      document.getElementById(target.dataset.opens)?.showModal();
    } else if (target.dataset.dismiss) {
      target.closest(target.dataset.dismiss)?.remove();
    } else {
      const source = document.querySelector(target.dataset.copy);
      const text = source.value ?? source.textContent.trim();
      const done = () => {
        const before = [...target.childNodes];
        target.replaceChildren("Copied");
        setTimeout(() => target.replaceChildren(...before), 2000);
      };
      // Without HTTPS there is no clipboard to write to; then the text is selected, ready for Ctrl-C.
      if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, () => source.select?.());
      else source.select?.();
    }
  });

  document.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.confirm || event.target.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-autosubmit]")) event.target.form.requestSubmit();
    if (event.target.matches("[data-selects]")) selectAll(event.target);
    if (event.target.form) {
      showMatching(event.target.form);
      for (const box of event.target.form.querySelectorAll("[data-selects]")) showSelected(box);
    }
  });

  const selectable = (box) => [...box.form.querySelectorAll(`input[type=checkbox][name="${box.dataset.selects}"]`)];
  const selectAll = (box) => {
    for (const each of selectable(box)) each.checked = box.checked;
  };
  const showSelected = (box) => {
    const all = selectable(box);
    const ticked = all.filter((each) => each.checked).length;
    box.checked = all.length > 0 && ticked === all.length;
    box.indeterminate = ticked > 0 && ticked < all.length;
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      for (const menu of document.querySelectorAll("details.menu[open]")) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
    }
  });

  const valueOf = (form, name) => {
    const control = form.elements[name];
    if (!control) return "";
    if (control.type === "checkbox") return control.checked ? "on" : "off";
    return control.value;
  };

  const showMatching = (form) => {
    for (const part of form.querySelectorAll("[data-shown-when]")) {
      const [name, values] = part.dataset.shownWhen.split("=");
      const shown = values.split("|").includes(valueOf(form, name));
      part.hidden = !shown;
      for (const control of part.querySelectorAll("input, select, textarea")) control.disabled = !shown;
    }
  };

  const makeChips = (textarea) => {
    const most = Number(textarea.dataset.chipsMax || Infinity);
    const label = textarea.dataset.chipsLabel || "entry";
    const first = textarea.dataset.chipsFirst;
    const box = document.createElement("div");
    box.className = "chip-box";
    const input = document.createElement("input");
    input.type = "text";
    input.id = `${textarea.id}_chips`;
    input.autocapitalize = "none";
    input.spellcheck = false;
    input.placeholder = textarea.placeholder;
    for (const name of ["aria-describedby", "aria-invalid"]) {
      if (textarea.hasAttribute(name)) input.setAttribute(name, textarea.getAttribute(name));
    }
    const note = document.createElement("span");
    note.className = "errors";
    note.setAttribute("role", "status");
    const count = document.createElement("span");
    count.className = "chip-count";
    count.setAttribute("aria-live", "polite");
    box.append(input);
    textarea.hidden = true;
    textarea.after(box, count, note);
    const caption = document.querySelector(`label[for="${textarea.id}"]`);
    if (caption) caption.htmlFor = input.id;

    const entries = () => textarea.value.split(/[\s,;]+/).filter(Boolean);
    const save = (list) => {
      textarea.value = list.join("\n");
      draw();
      textarea.dispatchEvent(new Event("change", { bubbles: true }));
    };
    const chipButton = (image, words, wanted) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "chip__remove";
      button.title = words;
      button.setAttribute("aria-label", words);
      button.append(icon(image));
      button.addEventListener("click", () => {
        save(wanted());
        note.textContent = "";
        input.focus();
      });
      return button;
    };
    const draw = () => {
      for (const chip of box.querySelectorAll(".chip")) chip.remove();
      entries().forEach((entry, index) => {
        const chip = document.createElement("span");
        chip.className = "chip";
        chip.append(entry);
        const others = () => entries().filter((_, other) => other !== index);
        if (first && index === 0) {
          const mark = document.createElement("span");
          mark.className = "chip__first";
          mark.textContent = first;
          chip.append(mark);
        } else if (first) {
          chip.append(chipButton("star", `Make ${entry} the ${first} one`, () => [entry, ...others()]));
        }
        chip.append(chipButton("x", `Remove ${entry}`, others));
        input.before(chip);
      });
      count.textContent = most < Infinity ? `${entries().length} of ${most}` : "";
    };
    const take = () => {
      const added = input.value.split(/[\s,;]+/).filter(Boolean);
      if (!added.length) return;
      const all = [...new Set([...entries(), ...added])];
      if (all.length > most) {
        note.textContent = `At most ${most}. Remove one ${label} first.`;
        return;
      }
      note.textContent = "";
      input.value = "";
      save(all);
    };
    input.addEventListener("keydown", (event) => {
      if (["Enter", ",", ";", " "].includes(event.key) && input.value.trim()) {
        event.preventDefault();
        take();
      } else if (event.key === "Backspace" && !input.value) {
        save(entries().slice(0, -1));
      }
    });
    input.addEventListener("blur", take);
    // What was typed and not yet turned into a chip is sent too, so that the server can judge it.
    textarea.form?.addEventListener("formdata", (event) => {
      if (!textarea.disabled) event.formData.set(textarea.name, `${textarea.value}\n${input.value}`.trim());
    });
    draw();
  };

  const guessTimeZone = (select) => {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (select.value === "UTC" && [...select.options].some((option) => option.value === zone)) select.value = zone;
  };

  const removeLater = (element) => {
    setTimeout(() => {
      if (element.contains(document.activeElement)) document.getElementById("main").focus();
      element.remove();
    }, 1000 * Number(element.dataset.lasts));
  };

  const prepare = (root) => {
    for (const element of root.querySelectorAll("[data-lasts]")) removeLater(element);
    for (const select of root.querySelectorAll("[data-guess-time-zone]")) guessTimeZone(select);
    for (const textarea of root.querySelectorAll("textarea[data-chips]")) makeChips(textarea);
    const forms = [...root.querySelectorAll("form")];
    if (root.matches?.("form")) forms.push(root);
    forms.forEach(showMatching);
  };

  document.addEventListener("DOMContentLoaded", () => prepare(document));
  document.addEventListener("htmx:load", (event) => {
    if (event.detail.elt !== document.body) prepare(event.detail.elt);
  });
})();
