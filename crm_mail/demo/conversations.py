"""What the people of the demonstration wrote to each other: data for `crm_mail.demo.messages`."""

from __future__ import annotations

from dataclasses import dataclass, field

PAULA = "paula@northwind.example"
CARLOS = "carlos@northwind.example"
PRIYA = "priya@northwind.example"


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation between a member and a customer: texts in turn, the first by the customer unless `ours_first`.

    `days` is how long ago it began; `charset` that of the customer's mails; `extras` names what hangs on which turn.
    """

    rep: str
    customer: str
    subject: str
    turns: tuple[str, ...]
    days: float
    charset: str = "utf-8"
    ours_first: bool = False
    cc: tuple[str, ...] = ()
    extras: dict[int, str] = field(default_factory=dict)


TALKS = (
    Talk(
        PAULA,
        "bea.stone@acme.example",
        "Quote for 40 pressure sensors",
        (
            (
                "Hello Paula,\n\nwe need 40 of your PS-200 sensors for the new line in Leeds. Could you send a quote with "
                "delivery in six weeks?\n\nBest regards\nBea"
            ),
            "Hello Bea,\n\nthank you. The quote is attached: 40 pieces at 182.00 each, delivery in five weeks.\n\nPaula",
            "That is a little above our budget. Is there room if we take 60?",
            "For 60 I can offer 171.00 each. The quote holds until the end of the month.",
            "Agreed. The purchase order follows today.",
        ),
        days=18,
        extras={1: "pdf", 4: "html"},
    ),
    Talk(
        PAULA,
        "jonas.weber@metallbau-weber.example",
        "Anfrage: Durchflussmesser für Kühlkreislauf",
        (
            (
                "Guten Tag Frau Paula,\n\nwir suchen Durchflussmesser für einen Kühlkreislauf, 8 bis 40 Liter je Minute, "
                "mit Prüfzeugnis. Können Sie uns beraten?\n\nMit freundlichen Grüßen\nJonas Weber"
            ),
            "Guten Tag Herr Weber,\n\ngern. Passen würde der DF-40, das Prüfzeugnis gehört dazu. Das Datenblatt hängt an.",
            "Vielen Dank! Wie lange wäre die Lieferzeit für zwölf Stück?",
            "Drei Wochen ab Bestellung. Größere Mengen können wir in Teillieferungen schicken.",
        ),
        days=15,
        charset="iso-8859-1",
        extras={1: "pdf"},
    ),
    Talk(
        PAULA,
        "claire.dubois@laiterie-dubois.example",
        "Étalonnage des sondes de température",
        (
            (
                "Bonjour,\n\nnos sondes doivent être étalonnées avant l'été. Pouvez-vous nous proposer une date à "
                "Besançon ?\n\nCordialement\nClaire Dubois"
            ),
            "Bonjour Madame Dubois,\n\nnotre technicien peut venir le mardi 14. L'intervention dure une demi-journée.",
            "Parfait, c'est noté. Voici la liste des sondes.",
        ),
        days=12,
        charset="windows-1252",
        extras={2: "csv"},
    ),
    Talk(
        PAULA,
        "tanaka@sakura-seiki.example",
        "見積書のお願い",
        (
            "ノースウインド株式会社 御中\n\nいつもお世話になっております。圧力センサー PS-200 を20個、見積をお願いいたします。\n\n田中",
            "田中様\n\nお問い合わせありがとうございます。見積書は添付のとおりです。納期は四週間です。",
            "ありがとうございます。社内で検討いたします。",
        ),
        days=9,
        charset="iso-2022-jp",
        extras={1: "pdf"},
    ),
    Talk(
        PAULA,
        "nikos@aegean-water.example",
        "Προσφορά για μετρητές",
        (
            "Καλημέρα σας,\n\nθα θέλαμε μια προσφορά για 25 μετρητές ροής.\n\nΝίκος",
            "Καλημέρα Νίκο, η προσφορά είναι συνημμένη. Η παράδοση γίνεται σε τέσσερις εβδομάδες.",
        ),
        days=7,
        extras={1: "pdf"},
    ),
    Talk(
        PAULA,
        "omar@harbour-logistics.example",
        "Two sensors show different readings",
        (
            "Hi, the two sensors at gate 3 are 0.4 bar apart since Monday. The picture shows both displays. What now?",
            "Hi Omar, that looks like a zero drift. Please run the zero routine on page 12 and tell me what you see.",
            "Done, both show the same now. Thanks!",
        ),
        days=4,
        cc=(CARLOS,),
        extras={0: "picture"},
    ),
    Talk(
        PAULA,
        "m.hart@hart-legal.example",
        "Confidential: draft settlement",
        (
            "Dear Ms Public,\n\nplease find our remarks on the draft settlement. This is for you alone.\n\nM. Hart",
            "Dear Mr Hart, thank you. I shall come back to you on Thursday.",
        ),
        days=6,
        extras={0: "pdf"},
    ),
    Talk(
        PAULA,
        "bea.stone@acme.example",
        "Visit at our plant",
        (
            "Hello Bea, I shall be in Leeds on the 28th. May I come by at ten and see the new line?",
            "With pleasure. Ask for me at the north gate; the invitation is attached.",
        ),
        days=2,
        ours_first=True,
        extras={1: "ics"},
    ),
    Talk(
        CARLOS,
        "lucia.gomez@conservas-gomez.example",
        "Pedido de sensores de humedad",
        (
            "Buenos días Carlos:\n\n¿Nos puede enviar precio y plazo para 15 sensores de humedad?\n\nUn saludo\nLucía",
            "Buenos días Lucía:\n\nEl precio es de 96,50 por unidad y el plazo, de dos semanas.",
            "Muy bien. Le envío el pedido firmado.",
        ),
        days=14,
        extras={2: "pdf"},
    ),
    Talk(
        CARLOS,
        "bea.stone@acme.example",
        "Invoice 2231 seems to be doubled",
        (
            "Hello Carlos, we got invoice 2231 twice, the second one with another date. Which one counts?",
            "Hello Bea, the first one. I have cancelled the second; sorry for the trouble.",
            "Thanks for the quick answer.",
        ),
        days=10,
    ),
    Talk(
        CARLOS,
        "erik.lund@nordic-pulp.example",
        "Maintenance contract 2027",
        (
            "Hi Carlos, our maintenance contract ends in January. What would the next two years cost?",
            "Hi Erik, here are both options. The second one has the on-call service that you asked for.",
            "We take the second one. Please prepare the papers.",
            "They are on their way.",
        ),
        days=11,
        extras={1: "html", 3: "pdf"},
    ),
    Talk(
        CARLOS,
        "jonas.weber@metallbau-weber.example",
        "Rückfrage zur Rechnung",
        (
            "Guten Tag,\n\nauf der Rechnung fehlt unsere Bestellnummer 4711. Können Sie sie ergänzen?\n\nJ. Weber",
            "Guten Tag Herr Weber,\n\nanbei die berichtigte Rechnung.",
        ),
        days=5,
        extras={1: "pdf"},
    ),
    Talk(
        CARLOS,
        "sofia@atelier-rossi.example",
        "Trial device",
        (
            "Hello, could we try the humidity logger for two weeks before we decide?",
            "Certainly. It leaves our house tomorrow; the return label is in the box.",
            "It arrived. Set-up took five minutes, very nice.",
        ),
        days=3,
    ),
    Talk(
        PRIYA,
        "chair@acme.example",
        "Framework agreement",
        (
            "Dear Priya,\n\nbefore the board meets I would like to talk about volume and exclusivity, between us.\n\nGrace",
            "Dear Grace,\n\ngladly. My proposal is attached; please keep it to yourself for now.",
            "Understood. The numbers work for us.",
        ),
        days=13,
        extras={1: "pdf"},
    ),
    Talk(
        PRIYA,
        "bea.stone@acme.example",
        "A word about last week",
        (
            "Dear Priya, I would rather say this to you than to Paula: the last delivery was incomplete.",
            "Thank you for telling me, Bea. I shall look into it myself.",
        ),
        days=8,
    ),
    Talk(
        PRIYA,
        "invest@harbour-logistics.example",
        "Due diligence list",
        (
            "Hello Priya, the list of documents for the due diligence is attached.",
            "Thank you. You will have everything by Friday.",
        ),
        days=5,
        extras={0: "csv"},
    ),
)

#: Mail from people who are no customers: (receiver, sender, subject, text, HTML or not).
STRANGERS = (
    (PAULA, "News <news@trade-weekly.example>", "This week in instruments", "Ten stories from the industry.", True),
    (PAULA, "Sam Seller <sam@cheap-leads.example>", "10,000 fresh leads", "Buy now, quantities are limited.", True),
    (PAULA, "Anna Kowalska <anna@pomiary.example>", "Pytanie o katalog", "Proszę o katalog czujników.", False),
    (CARLOS, "News <news@trade-weekly.example>", "This week in instruments", "Ten stories from the industry.", True),
    (CARLOS, "Fair Office <office@sensor-fair.example>", "Your stand at the fair", "Your stand is C 12.", False),
    (CARLOS, "Delivery <post@parcels.example>", "Your parcel is on its way", "It arrives tomorrow.", True),
    (PRIYA, "Bank <service@bank.example>", "Your statement is ready", "Sign in to read it.", False),
    (PRIYA, "Board <board@investors.example>", "Agenda", "The agenda for the next meeting.", False),
    (PRIYA, "Anna Kowalska <anna@pomiary.example>", "Praca", "Czy szukają Państwo inżyniera?", False),
)

#: Mail among colleagues, which is never shared: (receiver, sender, subject, text).
COLLEAGUES = (
    (PAULA, CARLOS, "Lunch?", "At one, the usual place?"),
    (CARLOS, PAULA, "Weber", "He asked me for the flow meters, you have the invoice, right?"),
    (PAULA, PRIYA, "Salary review", "Let us talk tomorrow at nine."),
    (PRIYA, CARLOS, "Holiday", "I would like to take the first week of May off."),
)

#: What customers write while the demonstration runs, one after the other: (receiver, sender, subject, text).
LATER = (
    (PAULA, "Bea Stone <bea.stone@acme.example>", "Purchase order", "The order is in your portal. Thank you, Paula!"),
    (CARLOS, "Erik Lund <erik.lund@nordic-pulp.example>", "Papers arrived", "They are signed and on their way back."),
    (PAULA, "Claire Dubois <claire.dubois@laiterie-dubois.example>", "Merci", "Le technicien était très bien."),
    (CARLOS, "Lucía Gómez <lucia.gomez@conservas-gomez.example>", "Entrega", "¿Cuándo llega el pedido?"),
    (PRIYA, "Grace Chair <chair@acme.example>", "Board decision", "The board agreed. Call me."),
    (PAULA, "Omar <omar@harbour-logistics.example>", "Gate 4", "Could we order two more for gate 4?"),
)
