/*
The form of a POP3 account; the server decides in any case.

- Ports follow the security choice as long as they are the usual ones (R8).
- The confirmation of plain text is shown only where plain text is chosen.
- What only Gmail has is shown only for Gmail's servers (R11).
*/
"use strict";

(() => {
  const form = document.querySelector("form[data-mailbox-form]");
  if (!form) return;

  const USUAL_PORTS = {
    incoming: { ssl: 995, starttls: 110, none: 110 },
    outgoing: { ssl: 465, starttls: 587, none: 587 },
  };
  const GMAIL = ["pop.gmail.com", "pop.googlemail.com"];
  const field = (name) => form.elements[name];
  const show = (name, shown) => {
    field(name).closest(".field").parentElement.hidden = !shown;
    field(name).disabled = !shown;
  };

  const showWhatApplies = () => {
    show("allow_plain_text", ["incoming", "outgoing"].some((side) => field(`${side}_security`).value === "none"));
    show("used_by_other_clients", GMAIL.includes(field("incoming_host").value.trim().replace(/\.$/, "").toLowerCase()));
  };

  for (const [side, ports] of Object.entries(USUAL_PORTS)) {
    const security = field(`${side}_security`);
    const port = field(`${side}_port`);
    let before = security.value;
    if (!port.value) port.value = ports[before];
    security.addEventListener("change", () => {
      if (!port.value || Number(port.value) === ports[before]) port.value = ports[security.value];
      before = security.value;
    });
  }
  form.addEventListener("input", showWhatApplies);
  form.addEventListener("change", showWhatApplies);
  showWhatApplies();
})();
