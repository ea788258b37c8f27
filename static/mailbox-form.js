/*
The form of a POP3 account; the server decides in any case.

- Ports follow the security choice as long as they are the usual ones (R8).
- The confirmation of plain text is shown only where plain text is chosen.
- Once the address is there, the servers that are known for it are filled in where nothing stands yet (R7); the button
  asks for them at any time, and takes all of them.
- The outgoing server follows the incoming one until it is edited; emptied, it follows again (R9).
- What only Gmail has is shown only for Gmail's servers; where other programs read the mailbox too, nothing but leaving
  the messages on the server can be chosen (R11).
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

  /* What other programs read too is left on the server; a tagged user name says the same as the box. */
  const leaveToOthers = (isGmail) => {
    const box = field("used_by_other_clients");
    if (isGmail && field("incoming_username").value.trim().startsWith("recent:")) box.checked = true;
    const isShared = isGmail && box.checked;
    for (const choice of field("delete_policy")) {
      choice.disabled = isShared && choice.value !== "leave";
      if (!isShared || choice.value !== "leave" || choice.checked) continue;
      choice.checked = true;
      choice.dispatchEvent(new Event("change", { bubbles: true }));
    }
  };
  const showWhatApplies = () => {
    const isGmail = GMAIL.includes(field("incoming_host").value.trim().replace(/\.$/, "").toLowerCase());
    show("allow_plain_text", ["incoming", "outgoing"].some((side) => field(`${side}_security`).value === "none"));
    show("used_by_other_clients", isGmail);
    leaveToOthers(isGmail);
  };

  const securityBefore = {};
  for (const [side, ports] of Object.entries(USUAL_PORTS)) {
    const security = field(`${side}_security`);
    const port = field(`${side}_port`);
    securityBefore[side] = security.value;
    if (!port.value) port.value = ports[security.value];
    security.addEventListener("change", () => {
      if (!port.value || Number(port.value) === ports[securityBefore[side]]) port.value = ports[security.value];
      securityBefore[side] = security.value;
    });
  }

  const finder = form.querySelector("[data-finds-servers]");
  const SERVER = ["host", "port", "security"];

  /* The form as the server would fill it in. Passwords are not sent. */
  const filledIn = async (what) => {
    const asked = new FormData(form);
    asked.set("find", what);
    asked.delete("incoming_password");
    asked.delete("outgoing_password");
    const answer = await fetch(location.href, { method: "POST", body: asked });
    return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
  };
  const valueIn = (page, name) => page.querySelector(`[data-mailbox-form] [name=${name}]`).value;
  const takeServer = (page, side) => {
    for (const part of SERVER) field(`${side}_${part}`).value = valueIn(page, `${side}_${part}`);
    securityBefore[side] = field(`${side}_security`).value;
  };

  const findServers = async (takesAll) => {
    const page = await filledIn("servers");
    if (!page) return;
    document.getElementById("found").replaceWith(page.getElementById("found"));
    for (const name of ["name", "incoming_username"]) {
      if (!field(name).value) field(name).value = valueIn(page, name);
    }
    for (const side of Object.keys(USUAL_PORTS)) {
      if (valueIn(page, `${side}_host`) && (takesAll || !field(`${side}_host`).value)) takeServer(page, side);
    }
    showWhatApplies();
  };
  if (finder) {
    finder.addEventListener("click", (event) => {
      event.preventDefault();
      findServers(true);
    });
    field("email_address").addEventListener("change", () => {
      if (field("email_address").value.includes("@")) findServers(false);
    });
  }

  let outgoingFollows = "outgoingFollows" in form.dataset;
  const fillInOutgoing = async () => {
    if (!outgoingFollows || !field("use_same_credentials").checked || !field("incoming_host").value.trim()) return;
    const page = await filledIn("outgoing");
    if (page && outgoingFollows && valueIn(page, "outgoing_host")) takeServer(page, "outgoing");
  };
  for (const part of SERVER) {
    field(`outgoing_${part}`).addEventListener("input", () => {
      outgoingFollows = !field("outgoing_host").value.trim();
    });
    field(`outgoing_${part}`).addEventListener("change", fillInOutgoing);
  }
  field("incoming_host").addEventListener("change", fillInOutgoing);
  field("use_same_credentials").addEventListener("change", fillInOutgoing);

  form.addEventListener("input", showWhatApplies);
  form.addEventListener("change", showWhatApplies);
  showWhatApplies();
})();
