/*
Writing a message (templates/compose/compose.html). Without this script the page is a form with a plain text field.

- The editor is in the frame [data-editor]; buttons with data-command="bold" and so on work it.
- What is written is saved by itself, a moment after the last change, to the form's data-saves address; it answers JSON:
  {"revision", "saved"} or, with another status, {"detail"}: then it was not saved, and the page says so.
- Files are dropped, pasted or chosen, and sent to data-attaches one by one, with progress; sending waits for them. An image
  that is pasted into the editor stands in the text.
- Once the draft was changed or sent elsewhere nothing is saved any more; #compose-outdated says so and offers what to do.
- Who is signed out meanwhile (data-signs-in is where one signs in) is told so by #compose-signed-out, keeps what is written,
  and has it saved as soon as they have signed in in another tab.
- Before a message without subject or without the attachment that its text speaks of is sent, #compose-question asks, once.
*/
"use strict";

(() => {
  const form = document.querySelector("form[data-saves]");
  if (!form) return;
  const frame = form.querySelector("[data-editor]");
  const plain = form.elements.text;
  const status = document.getElementById("compose-status");
  const files = () => document.getElementById("compose-files");
  let editor = null;

  // --- being signed out -------------------------------------------------------------------------------------------
  const signedOut = document.getElementById("compose-signed-out");
  const isSignIn = (url) => new URL(url, location).pathname === form.dataset.signsIn;
  const token = () => form.elements.csrfmiddlewaretoken.value;
  /* Signing in again makes the tokens of this page worthless: those of the same page as it is now take their place. If
     there is no such page, the answer is what there is instead. */
  const renewTokens = async () => {
    const page = await fetch(location.href);
    if (!page.ok || isSignIn(page.url)) return page;
    const { body } = new DOMParser().parseFromString(await page.text(), "text/html");
    document.body.setAttribute("hx-headers", body.getAttribute("hx-headers"));
    form.elements.csrfmiddlewaretoken.value = body.querySelector("[name=csrfmiddlewaretoken]").value;
    return null;
  };
  const post = async (url, body, options) => {
    body.delete("csrfmiddlewaretoken");
    const send = () => fetch(url, { method: "POST", body, headers: { "X-CSRFToken": token() }, ...options });
    const answer = await send();
    return answer.status === 403 ? ((await renewTokens()) ?? send()) : answer;
  };
  document.addEventListener("htmx:beforeOnLoad", (event) => {
    if (!isSignIn(event.detail.xhr.responseURL)) return;
    event.preventDefault();
    signedOut.hidden = false;
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status === 403) renewTokens();
  });

  // --- saving -----------------------------------------------------------------------------------------------------
  const SAVE_AFTER = 1200;
  let pause;
  let saving = null;
  const outdated = document.getElementById("compose-outdated");
  let isChanged = false;
  let isOutdated = !outdated.hidden;

  const fill = () => {
    if (editor) form.elements.html.value = editor.getHTML();
  };
  /* Until the editor is there, what is written stays as it was saved, formatting and all. */
  const isTextAsSaved = () => frame && !editor && plain.value === plain.defaultValue;
  const say = (words, isWrong = false) => {
    status.textContent = words;
    status.classList.toggle("is-wrong", isWrong);
    status.classList.toggle("muted", !isWrong);
  };
  /* Whether what is written may be saved while the page is left; browsers bound how much that is. */
  const outlivesPage = () => (form.elements.html?.value.length ?? 0) + plain.value.length < 30000;
  /* Saves what was changed, or with `anyway` whatever there is: that tells, too, whether the server takes anything more. */
  const save = async (anyway = false) => {
    clearTimeout(pause);
    if (saving) await saving;
    if (!(isChanged || anyway) || isOutdated) return !isOutdated;
    isChanged = false;
    fill();
    const body = new FormData(form);
    body.delete("attachments");
    if (isTextAsSaved()) body.delete("text");
    saving = post(form.dataset.saves, body, { keepalive: outlivesPage() })
      .then(async (answer) => {
        isUnreachable = false;
        signedOut.hidden = !isSignIn(answer.url);
        const isGone = answer.status === 404;
        if (isGone || !signedOut.hidden) {
          isChanged = true;
          const reason = isGone ? "this draft was deleted, or you are signed in as somebody else" : "you are signed out";
          say(`Not saved: ${reason}.`, true);
          pause = setTimeout(save, 5 * SAVE_AFTER);
          return false;
        }
        const told = await answer.json();
        if (!answer.ok) {
          isOutdated = answer.status === 409;
          outdated.hidden = !isOutdated;
          say(isOutdated ? "" : told.detail, true);
          isChanged = true;
          return false;
        }
        form.elements.revision.value = told.revision;
        say(told.saved);
        return true;
      })
      .catch(() => {
        isChanged = isUnreachable = true;
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
    stopAsking();
    clearTimeout(pause);
    pause = setTimeout(save, SAVE_AFTER);
  };
  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
  document.addEventListener("visibilitychange", () => {
    if (isChanged && (document.visibilityState === "hidden" || !signedOut.hidden)) save();
  });
  window.addEventListener("focus", () => {
    if (!signedOut.hidden) save(true);
  });
  let isLeaving = false;
  let isUnreachable = false;
  window.addEventListener("beforeunload", (event) => {
    if (isLeaving) return;
    if (uploads) event.preventDefault();
    if (!isChanged) return;
    fill();
    if (isOutdated || isUnreachable || !signedOut.hidden || !outlivesPage()) event.preventDefault();
    save();
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
    // After a form that was refused as outdated, the frame has what is saved; the field has what was written here.
    if (isOutdated && form.elements.html.value) editor.setHTML(form.elements.html.value);
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
    inside.addEventListener("paste", pasted, true);
    if (beginsBelow) editor.focus();
    showState();
  };
  // --- files ------------------------------------------------------------------------------------------------------
  let uploads = 0;
  let attaching = Promise.resolve();
  const attach = (chosen) => {
    const go = async () => {
      const isSaved = await save(true);
      for (const file of chosen) await send(file, isSaved);
      uploads -= 1;
    };
    if (!chosen.length) return;
    uploads += 1;
    attaching = attaching.then(go);
  };
  const refused = () => [...files().querySelectorAll(".is-wrong")];
  /* An image that was pasted stands in the text; its address is that of the file that is kept with the draft. */
  const insert = async (image) => {
    if (!(await save(true))) return undefined;
    const body = new FormData();
    body.append("attachments", image, image.name || "image.png");
    body.append("inline", "1");
    const answer = await post(form.dataset.attaches, body);
    if (!answer.ok) return say(answer.status === 400 ? await answer.text() : "The image could not be added.", true);
    editor.insertImage((await answer.json()).url, { alt: "" });
    return changed();
  };
  const send = (file, isSaved) =>
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
        asked.delete(NOT_ATTACHED);
        const dismiss = document.createElement("button");
        Object.assign(dismiss, { type: "button", className: "chip__remove", textContent: "×" });
        dismiss.setAttribute("aria-label", `Dismiss ${file.name}`);
        dismiss.addEventListener("click", () => row.remove());
        progress.replaceWith(words, dismiss);
        resolve();
      };
      if (!isSaved) {
        failed("Could not be attached. Try again.");
        return;
      }
      request.upload.addEventListener("progress", (event) => {
        progress.value = event.loaded;
      });
      request.addEventListener("load", () => {
        if (request.status === 200) {
          const others = refused();
          files().outerHTML = request.responseText;
          files().append(...others);
          window.htmx.process(files());
          resolve();
        } else failed(request.status === 400 ? request.responseText : "Could not be attached. Try again.");
      });
      request.addEventListener("error", () => failed("Could not be attached: the server can’t be reached."));
      request.open("POST", form.dataset.attaches);
      request.setRequestHeader("X-CSRFToken", token());
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
  /* What is copied from a document has its picture beside it; an image that is pasted into the editor stands in the text. */
  const pasted = (event) => {
    const carried = [...event.clipboardData.files];
    const isForText = event.target.ownerDocument !== document && carried.every((file) => file.type.startsWith("image/"));
    if (!carried.length || isForText || event.clipboardData.types.includes("text/html")) return;
    event.preventDefault();
    event.stopPropagation();
    attach(carried);
  };
  for (const name of ["dragover", "drop"]) document.addEventListener(name, dropped);
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) form.classList.remove("is-target");
  });
  document.addEventListener("paste", pasted);
  form.elements.attachments.addEventListener("change", (event) => {
    attach([...event.target.files]);
    event.target.value = "";
  });

  // --- sending ----------------------------------------------------------------------------------------------------
  const sender = form.querySelector("[value=send]");
  const question = document.getElementById("compose-question");
  const asked = new Set();
  /* What was written above the signature, without what is quoted. */
  const ownText = () => {
    const lines = editor
      ? [...frame.contentDocument.getElementById("editor").children].map((each) =>
          each.tagName === "BLOCKQUOTE" ? "" : each.innerText,
        )
      : plain.value.split("\n").filter((line) => !line.startsWith(">"));
    const end = lines.findIndex((line) => /^--+(?:\s|$)/.test(line));
    return lines.slice(0, end < 0 ? undefined : end).join("\n");
  };
  const ATTACHED = /\b(?:attach(?:ed|ments?|ing)|enclosed|angehängt|anhang|beigefügt|anbei)\b/i;
  const NOT_ATTACHED = "Not every file could be attached.";
  const doubts = () => {
    const found = [];
    if (!form.elements.subject.value.trim()) found.push("It has no subject.");
    if (refused().length) found.push(NOT_ATTACHED);
    else if (ATTACHED.test(ownText()) && !files().children.length) {
      found.push("You write of an attachment, and nothing is attached.");
    }
    return found;
  };
  const ask = (found) => {
    for (const doubt of found) asked.add(doubt);
    question.textContent = found.join(" ");
    question.hidden = false;
    sender.querySelector("span").textContent = "Send anyway";
    sender.focus();
  };
  const stopAsking = () => {
    if (question.hidden) return;
    question.hidden = true;
    sender.querySelector("span").textContent = "Send";
  };

  const keys = (event) => {
    if (event.key === "Enter" && event.target === form.elements.subject) {
      event.preventDefault();
      if (!event.ctrlKey && !event.metaKey) (editor ?? plain).focus();
    }
    if (!event.ctrlKey && !event.metaKey) return;
    if (event.key === "Enter") {
      event.preventDefault();
      form.requestSubmit(sender);
    } else if (event.key === "s") {
      event.preventDefault();
      isChanged = true;
      save();
    }
  };
  form.addEventListener("keydown", keys);
  const submit = async (button) => {
    const deed = button?.name === "do" ? button.value : "";
    if (deed !== "discard") {
      if (uploads) say("Waiting for the files …");
      await attaching;
    }
    if (deed === "send") {
      const found = doubts().filter((doubt) => !asked.has(doubt));
      if (found.length) {
        ask(found);
        return;
      }
    }
    // What is written is saved first: if that fails it stays in this window, unless it is to go. Where nothing was
    // written nothing is saved, so that it is thrown away without a trace.
    const isSaved = await save(deed !== "discard");
    fill();
    if (!isSaved && !["discard", "keep"].includes(deed)) return;
    if (isTextAsSaved()) plain.disabled = true;
    clearTimeout(pause);
    isLeaving = true;
    // A form can't be submitted while it is told of a submission, which may still be so where there was nothing to save.
    setTimeout(() => form.requestSubmit(button));
  };
  let isSubmitting = false;
  form.addEventListener("submit", async (event) => {
    if (event.defaultPrevented || isLeaving) return;
    event.preventDefault();
    if (isSubmitting) return;
    isSubmitting = true;
    await submit(event.submitter);
    isSubmitting = false;
  });
  window.addEventListener("pageshow", () => {
    isLeaving = false;
  });

  // One writes to somebody first, then something.
  const beginsBelow = form.elements.to.value.trim() !== "";
  if (!beginsBelow) document.getElementById(`${form.elements.to.id}_recipients`).focus();
  else if (!frame) plain.focus();
  if (frame) {
    frame.addEventListener("editor-ready", start);
    // Until the editor is there, its name stands for the element with this id.
    if (frame.contentWindow?.editor?.hasFormat) start();
    for (const button of buttons) button.addEventListener("click", () => run(button.dataset.command));
  }
})();
