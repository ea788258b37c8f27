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

  const show = (line) => {
    const fragment = new DOMParser().parseFromString(line, "text/html").getElementById("tested");
    // The region stays, so that screen readers announce what changes in it.
    const region = document.getElementById("tested");
    region.replaceChildren(...fragment.childNodes);
    return fragment.hasAttribute("data-passed");
  };

  /* Whether the test passed; undefined where it could not be carried out. */
  const test = async (isSaving) => {
    const body = new FormData(form);
    if (isSaving) body.append("saving", "1");
    const buttons = form.querySelectorAll("button");
    for (const each of buttons) each.disabled = true;
    try {
      const answer = await fetch(form.dataset.accountTest, { method: "POST", body });
      if (!answer.ok) {
        if (answer.status !== 400) return undefined;
        if (!isSaving) show(await answer.text());
        return undefined;
      }
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let passed = false;
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return passed;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) passed = show(line);
        document.getElementById("tested").scrollIntoView({ block: "nearest" });
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
    const passed = await test(true);
    if (passed === undefined) send("");
    else if (passed) send("test");
  });
  form.addEventListener("input", () => document.getElementById("tested").replaceChildren());
})();
