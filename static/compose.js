/*
Writing a message (templates/compose/compose.html). Without this script the page is a form with a plain text field.

- The editor is in the frame [data-editor]; buttons with data-command="bold" and so on work it.
- What is written is saved by itself, a moment after the last change, to the form's data-saves address; it answers JSON:
  {"revision", "saved"} or, with another status, {"detail"}: then it was not saved, and the page says so.
- Files are dropped, pasted or chosen, and sent to data-attaches one by one, with progress. An image that is pasted into the
  editor stands in the text.
*/
"use strict";

(() => {
  const form = document.querySelector("form[data-saves]");
  if (!form) return;
  const frame = form.querySelector("[data-editor]");
  const plain = form.elements.text;
  const status = document.getElementById("compose-status");
  const files = () => document.getElementById("compose-files");
  const token = form.elements.csrfmiddlewaretoken.value;
  let editor = null;

  // --- saving -----------------------------------------------------------------------------------------------------
  const SAVE_AFTER = 1200;
  let pause;
  let saving = null;
  let isChanged = false;
  let isOutdated = false;

  const fill = () => {
    if (editor) form.elements.html.value = editor.getHTML();
  };
  const say = (words, isWrong = false) => {
    status.textContent = words;
    status.classList.toggle("is-wrong", isWrong);
  };
  const save = async () => {
    clearTimeout(pause);
    if (saving) await saving;
    if (!isChanged || isOutdated) return !isOutdated;
    isChanged = false;
    fill();
    const body = new FormData(form);
    body.delete("attachments");
    saving = fetch(form.dataset.saves, { method: "POST", body, keepalive: body.get("html").length < 30000 })
      .then(async (answer) => {
        const told = await answer.json();
        if (!answer.ok) {
          say(told.detail, true);
          isOutdated = answer.status === 409;
          return false;
        }
        form.elements.revision.value = told.revision;
        say(told.saved);
        return true;
      })
      .catch(() => {
        isChanged = true;
        say("Not saved: the server can’t be reached. Saved again as soon as it can.", true);
        pause = setTimeout(save, 5 * SAVE_AFTER);
        return false;
      });
    const done = await saving;
    saving = null;
    return done;
  };
  const changed = () => {
    isChanged = true;
    clearTimeout(pause);
    pause = setTimeout(save, SAVE_AFTER);
  };
  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden" && isChanged) save();
  });

  // --- the editor -------------------------------------------------------------------------------------------------
  const TOGGLES = {
    bold: ["B", "bold", "removeBold"],
    italic: ["I", "italic", "removeItalic"],
    underline: ["U", "underline", "removeUnderline"],
    list: ["UL", "makeUnorderedList", "removeList"],
    numbers: ["OL", "makeOrderedList", "removeList"],
    quote: ["BLOCKQUOTE", "increaseQuoteLevel", "decreaseQuoteLevel"],
  };
  const buttons = [...form.querySelectorAll("[data-command]")];
  const showState = () => {
    for (const button of buttons) {
      const [tag] = TOGGLES[button.dataset.command] ?? (button.dataset.command === "link" ? ["A"] : []);
      if (tag) button.setAttribute("aria-pressed", String(editor.hasFormat(tag)));
    }
  };
  const link = () => {
    if (editor.hasFormat("A")) return editor.removeLink();
    const typed = window.prompt("Address of the link", "https://");
    if (typed && typed !== "https://") editor.makeLink(/^[a-z]+:/i.test(typed) ? typed : `https://${typed}`);
    return undefined;
  };
  const run = (command) => {
    if (command === "link") link();
    else if (command === "clear") editor.removeAllFormatting();
    else {
      const [tag, on, off] = TOGGLES[command];
      editor[editor.hasFormat(tag) ? off : on]();
    }
    editor.focus();
    showState();
  };
  const start = () => {
    if (editor) return;
    editor = frame.contentWindow.editor;
    plain.hidden = plain.disabled = true;
    form.elements.html.disabled = false;
    for (const part of form.querySelectorAll("[data-with-editor]")) part.hidden = false;
    const inside = frame.contentDocument;
    const fit = () => {
      frame.style.blockSize = `${Math.max(240, inside.documentElement.scrollHeight)}px`;
    };
    fit();
    editor.addEventListener("input", () => {
      fit();
      changed();
    });
    editor.addEventListener("pathChange", showState);
    editor.addEventListener("select", showState);
    editor.addEventListener("pasteImage", (event) => {
      for (const item of event.detail.clipboardData.items) {
        if (item.type.startsWith("image/")) insert(item.getAsFile());
      }
    });
    inside.addEventListener("keydown", keys);
    for (const name of ["dragover", "drop"]) inside.addEventListener(name, dropped, true);
    if (frame.dataset.editor === "focus") editor.focus();
    showState();
  };
  if (frame) {
    frame.addEventListener("editor-ready", start);
    if (frame.contentWindow?.editor) start();
    for (const button of buttons) button.addEventListener("click", () => run(button.dataset.command));
  }

  // --- files ------------------------------------------------------------------------------------------------------
  const attach = async (chosen) => {
    if (!chosen.length || !(await save())) return;
    for (const file of chosen) await send(file);
  };
  /* An image that was pasted stands in the text; its address is that of the file that is kept with the draft. */
  const insert = async (image) => {
    const body = new FormData();
    body.append("attachments", image, image.name || "image.png");
    body.append("inline", "1");
    const answer = await fetch(form.dataset.attaches, { method: "POST", body, headers: { "X-CSRFToken": token } });
    if (!answer.ok) return say(answer.status === 400 ? await answer.text() : "The image could not be added.", true);
    editor.insertImage((await answer.json()).url, { alt: "" });
    return changed();
  };
  const send = (file) =>
    new Promise((resolve) => {
      const row = document.createElement("li");
      row.className = "attachment";
      const name = document.createElement("span");
      name.textContent = file.name;
      const progress = document.createElement("progress");
      progress.className = "progress";
      progress.max = file.size || 1;
      progress.setAttribute("aria-label", `Attaching ${file.name}`);
      row.append(name, progress);
      files().append(row);
      const request = new XMLHttpRequest();
      const failed = (words) => {
        row.classList.add("is-wrong");
        progress.replaceWith(words);
        resolve();
      };
      request.upload.addEventListener("progress", (event) => {
        progress.value = event.loaded;
      });
      request.addEventListener("load", () => {
        if (request.status === 200) {
          files().outerHTML = request.responseText;
          window.htmx.process(files());
          resolve();
        } else failed(request.status === 400 ? request.responseText : "Could not be attached. Try again.");
      });
      request.addEventListener("error", () => failed("Could not be attached: the server can’t be reached."));
      request.open("POST", form.dataset.attaches);
      request.setRequestHeader("X-CSRFToken", token);
      request.setRequestHeader("HX-Request", "true");
      const body = new FormData();
      body.append("attachments", file);
      request.send(body);
    });
  const dropped = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    event.stopPropagation();
    form.classList.toggle("is-target", event.type === "dragover");
    if (event.type === "drop") attach([...event.dataTransfer.files]);
  };
  for (const name of ["dragover", "drop"]) form.addEventListener(name, dropped);
  form.addEventListener("dragleave", () => form.classList.remove("is-target"));
  form.elements.attachments.addEventListener("change", (event) => {
    attach([...event.target.files]);
    event.target.value = "";
  });

  // --- sending ----------------------------------------------------------------------------------------------------
  const keys = (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    if (event.key === "Enter") {
      event.preventDefault();
      form.requestSubmit(form.querySelector("[value=send]"));
    } else if (event.key === "s") {
      event.preventDefault();
      isChanged = true;
      save();
    }
  };
  form.addEventListener("keydown", keys);
  form.addEventListener("submit", async (event) => {
    if (event.defaultPrevented) return;
    fill();
    // A save that is under way ends first, so that its revision is the one that the form knows.
    if (saving) {
      event.preventDefault();
      await saving;
      form.requestSubmit(event.submitter);
      return;
    }
    clearTimeout(pause);
    isChanged = false;
  });
})();
