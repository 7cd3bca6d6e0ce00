/** The words of OpenHouse's generated data: names of companies and places, and what people write about. */

export const COMPANIES = [
  "Harbour & Vine Homes",
  "Northgate Living",
  "Calder Residential",
  "Ashdown Estates",
  "Millrace Developments",
  "Fairlight Homes",
  "Quayside Partners",
  "Brindle & Sons",
];

export const PLACES = [
  ["Tannery Yard", "Bristol"],
  ["Copperworks", "Swansea"],
  ["Orchard Rise", "Exeter"],
  ["The Ropewalk", "Chatham"],
  ["Saltmarsh Quay", "Hull"],
  ["Weaver Court", "Leeds"],
  ["Beacon Fields", "Kendal"],
  ["Albion Wharf", "Cardiff"],
  ["Larkspur Gardens", "York"],
] as const;

export const PEOPLE = [
  "Amara",
  "Ben",
  "Chiara",
  "Dev",
  "Elin",
  "Farah",
  "Gwen",
  "Hamid",
  "Iris",
  "Jonas",
];

/** One conversation a row: what a resident asks, what the assistant answers, what staff note afterwards. */
export const TOPICS = [
  [
    "Hi, the radiator in the second bedroom of {unit} stays cold whatever I set.",
    "Please check that the valve on its left side is open. If it stays cold I will book an engineer for {unit}.",
    "Engineer visited {unit}, bled the loop, heating works again. {name}",
  ],
  [
    "When can I collect the keys for {unit}? The solicitor says completion is on track.",
    "Keys for {unit} are handed over at the {development} office between 10:00 and 16:00 on completion day.",
    "Key handover for {unit} booked, two fobs prepared. {name}",
  ],
  [
    "Is there a parking space with {unit}, and can I charge a car there?",
    "{unit} comes with one space on level -1. The charge points at {development} are shared and metered.",
    "Fob for the car park of {development} activated for {unit}. {name}",
  ],
  [
    "There is a crack along the skirting in the hall of {unit}. Is that normal settling?",
    "Hairline cracks are common in the first year. Please send a photo and I will add it to the snagging list of {unit}.",
    "Snag added for {unit}: hall skirting, to be filled at the twelve-month visit. {name}",
  ],
  [
    "Which broadband providers reach {development}?",
    "Two fibre providers serve {development}; the socket of {unit} is beside the front door.",
    "Asked the provider to enable the second line at {development}. {name}",
  ],
  [
    "Can I keep a small dog in {unit}?",
    "The lease of {development} allows one pet with written consent. I have sent the form to you.",
    "Pet consent for {unit} signed and filed. {name}",
  ],
  [
    "The lift at {development} was out again this morning, my mother cannot use the stairs.",
    "I am sorry. The lift engineer is on the way and I have told the building manager of {development}.",
    "Lift at {development} back in service, fault code passed to the contractor. {name}",
  ],
  [
    "Could somebody send me the floor plan of {unit} with the measurements?",
    "Here is the plan of {unit}. All measurements are taken to the plaster.",
    "Sent revised plan C of {unit}, balcony corrected. {name}",
  ],
  [
    "What day is recycling collected at {development}?",
    "Recycling at {development} is collected on Thursdays, the store is beside the bicycle room.",
    "New signs ordered for the bin store of {development}. {name}",
  ],
  [
    "I would like to move the viewing of {unit} to Saturday if that is possible.",
    "Saturday at 11:00 is free. I have moved your viewing of {unit} and sent a confirmation.",
    "Viewing of {unit} done, buyer is interested in the parking as well. {name}",
  ],
  [
    "The extractor fan in {unit} is loud and runs all night.",
    "The fan of {unit} runs on a humidity sensor. Setting it to 65 % usually ends that.",
    "Replaced the fan controller in {unit}. {name}",
  ],
  [
    "How high is the service charge of {unit} next year?",
    "The budget of {development} is published in March. This year's statement for {unit} is attached.",
    "Service charge statement re-sent for {unit}. {name}",
  ],
] as const;

export const SENDERS = ["resident", "assistant", "staff"] as const;

/** Why an onboarding failed, in the words that the application stores. */
export const ONBOARDING_ERRORS = [
  "invitation has expired",
  "email already registered",
  "unit is not released yet",
  "verification code was wrong three times",
];
