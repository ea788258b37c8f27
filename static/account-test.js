/*
*Test account* (R12): on a form with data-account-test="address", that address answers with one line after each step,
and every line is the fragment #tested as it is to be shown from then on.

- The button [data-tests-account] tests what the form holds; nothing is saved.
- Saving tests first where something that the test is about was changed; the server decides in any case. What is to be
  confirmed then is a button in the fragment. Passwords stay in the form meanwhile.
*/
"use strict";

(() => {
  const form = document.querySelector("form[data-account-test]");
  if (!form) return;
  const button = form.querySelector("[data-tests-account]");
  const TESTED = /^(incoming|outgoing)_|^password$|^use_same_credentials$|^delete_/;

  /* Shows a fragment and tells its outcome: passed, wrong (something is missing in the form) or nothing yet. */
  const show = (line, isSaving) => {
    const fragment = new DOMParser().parseFromString(line, "text/html").getElementById("tested");
    const outcome = fragment.dataset.outcome;
    // The server shows mistakes beside their fields. The region itself stays, so that changes in it are announced.
    if (!(isSaving && outcome === "wrong")) document.getElementById("tested").replaceChildren(...fragment.childNodes);
    return outcome;
  };

  const test = async (isSaving) => {
    const body = new FormData(form);
    if (isSaving) body.append("saving", "1");
    const buttons = form.querySelectorAll("button");
    for (const each of buttons) each.disabled = true;
    try {
      const answer = await fetch(form.dataset.accountTest, { method: "POST", body });
      if (!answer.ok) return "wrong";
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let outcome;
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        const lines = (rest + (value ?? "")).split("\n");
        rest = lines.pop();
        for (const line of lines) outcome = show(line, isSaving);
        document.getElementById("tested").scrollIntoView({ block: "nearest" });
        if (done) return outcome;
      }
    } finally {
      for (const each of buttons) each.disabled = false;
    }
  };

  const isChanged = (control) => {
    if (control.disabled || !TESTED.test(control.name)) return false;
    if (control.type === "checkbox" || control.type === "radio") return control.checked !== control.defaultChecked;
    if (control.tagName === "SELECT") return [...control.options].some((each) => each.selected !== each.defaultSelected);
    return control.value !== control.defaultValue;
  };

  const send = (confirmed) => {
    if (confirmed) {
      const input = document.createElement("input");
      Object.assign(input, { type: "hidden", name: "confirmed", value: confirmed });
      form.append(input);
    }
    form.submit();
  };

  button?.addEventListener("click", async (event) => {
    event.preventDefault();
    await test(false);
  });
  form.addEventListener("submit", async (event) => {
    if (event.submitter?.name || ![...form.elements].some(isChanged)) return;
    event.preventDefault();
    const outcome = await test(true);
    if (outcome) send(outcome === "passed" ? "test" : "");
  });
  form.addEventListener("input", () => document.getElementById("tested").replaceChildren());
})();
