/** Made-up people and messages for the fake backend. */
import type { ConversationView, KeysView, MessageView, ProfileView } from "./types";

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** The orders of messages that the log has not placed yet begin here. */
export const unplaced = 2 ** 40;

export const fakeProfile: ProfileView = {
  accountId: "5f0c1d2e3b4a59687786958473625140",
  deviceId: "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
  address: "maya@post.example.org",
  displayName: "Maya Lindqvist",
  relay: "post.example.org",
  phraseConfirmed: false,
  keystore: "keychain",
};

export const fakeWords = (
  "marble orchard silent river copper lantern maple frozen window gentle harbor pencil " +
  "velvet summit candle meadow walnut thunder island bamboo castle ribbon pepper acoustic"
).split(" ");

export const fakeInvite =
  "https://post.example.org/i#AQEScG9zdC5leGFtcGxlLm9yZ8QgV3h3aW5nLWludml0ZS1kZW1vLWxpbmstbm90LXJlYWw5f3d7aXJ2c3F1c3R1dnd4eXo";

export function fakeKeys(now: number): KeysView {
  const deviceId = fakeProfile.deviceId;
  return {
    version: 3,
    fingerprint: "9f2c 41ab 77d0 e3c5 1b86 f40a 92ce 6d13",
    since: now - 9 * day,
    accountFingerprint: "c07e 5519 ab34 f8d2 60e1 937b 2dca 48f6",
    deviceId,
    rotating: false,
    rotationProblem: null,
    oldVersionsKept: 1,
    history: [
      { seq: 2, what: "rotated", deviceId, version: 3, at: now - 9 * day, fingerprint: "9f2c 41ab 77d0 e3c5 1b86 f40a 92ce 6d13" },
      { seq: 1, what: "rotated", deviceId, version: 2, at: now - 38 * day, fingerprint: "30d8 be71 054f 9ac2 e6b7 18fd 4c90 a255" },
      { seq: 0, what: "created", deviceId, version: 1, at: now - 67 * day, fingerprint: "e41b 6f0c 8d2a 7793 05ce b1d4 a86e 3f90" },
    ],
    phraseConfirmed: fakeProfile.phraseConfirmed,
  };
}

interface Line {
  ago: number;
  mine?: boolean;
  text?: string;
  state?: MessageView["state"];
  error?: MessageView["error"];
  notice?: MessageView["notice"];
  clockOff?: boolean;
}

interface Person {
  title: string;
  address: string | null;
  accountId: string;
  trust: ConversationView["trust"];
  unread?: number;
  draft?: string;
  problem?: ConversationView["problem"];
  lines: Line[];
}

const small = ["Good morning!", "Did the post come?", "Not yet.", "Tomorrow, then.", "I will look again at four.", "Fine by me."];

/** Enough older lines to page through. */
function longPast(count: number): Line[] {
  return Array.from({ length: count }, (_, index) => ({
    ago: 6 * day + (count - index) * 47 * minute,
    mine: index % 3 === 1,
    text: `${small[index % small.length] ?? ""} (${index + 1})`,
  }));
}

const people: Person[] = [
  {
    title: "Ada Okafor",
    address: "ada@post.example.org",
    accountId: "a1b2c3d4e5f60718293a4b5c6d7e8f90",
    trust: "invite",
    unread: 2,
    lines: [
      { ago: 40 * day, notice: { type: "started", name: "Ada Okafor", mine: false } },
      ...longPast(160),
      { ago: 2 * day, text: "The birds are back in the rowan tree. Six of them, all wearing their little masks." },
      { ago: 2 * day - 2 * minute, text: "They sound like a tiny bell with a loose clapper." },
      { ago: 2 * day - 9 * minute, mine: true, text: "Waxwings! They stay until the last berry is gone." },
      { ago: 26 * hour, notice: { type: "keysRotated", name: "Ada Okafor", version: 4, mine: false } },
      { ago: 25 * hour, mine: true, text: "Here is the page I meant: https://example.org/birds/waxwing?season=winter.\nThe recording is near the end, after the map." },
      { ago: 24 * hour, text: "Thank you. I will listen tonight, with the window open." },
      { ago: 70 * minute, mine: true, text: "Shall we meet at the library on Saturday? I can bring the letters, and you tell me which ones you want to keep." },
      { ago: 12 * minute, text: "Saturday is good." },
      { ago: 11 * minute, text: "At eleven? The reading room is quiet then, and the light is best before noon." },
    ],
  },
  {
    title: "Jonas Brandt",
    address: "jonas@post.example.org",
    accountId: "77d0e3c51b86f40a92ce6d139f2c41ab",
    trust: "firstUse",
    draft: "About the boat: ",
    lines: [
      { ago: 3 * day, notice: { type: "started", name: "You", mine: true } },
      { ago: 3 * day - minute, mine: true, text: "Hello Jonas, it is Maya. I moved here." },
      { ago: 2 * day, text: "There you are! How is the new flat?", clockOff: true },
      { ago: 3 * hour, mine: true, text: "Come and see. The kettle works, the rest is boxes.", state: "failed", error: { code: "relayFull", detail: "507 from /v1/logs" } },
      { ago: 2 * minute, mine: true, text: "Thursday?", state: "sending" },
    ],
  },
  {
    title: "李小龍",
    address: "xiaolong@post.example.org",
    accountId: "0455bd9ac2e6b718fd4c90a25530d8be",
    trust: "firstUse",
    unread: 14,
    lines: [
      { ago: 5 * day, notice: { type: "started", name: "李小龍", mine: false } },
      { ago: 4 * day, text: "<img src=x onerror=alert(1)> 只是文字 — just text 🙂" },
    ],
  },
  {
    title: "Rosalind and the very long name of the neighbourhood reading circle",
    address: "rosalind.reading-circle@relay.neighbourhood.example.net:8443",
    accountId: "ee9918d2c4b3a5968778695a4b3c2d1e",
    trust: "invite",
    problem: { code: "chainBroken", detail: "entry 4 does not follow from entry 3" },
    lines: [{ ago: 20 * day, text: "The next book is the one with the lighthouse. Bring biscuits, the ones from last time were excellent." }],
  },
  {
    title: "Note to self",
    address: null,
    accountId: fakeProfile.accountId,
    trust: "own",
    lines: [{ ago: 30 * hour, mine: true, text: "Ask Ada about the recording. Buy rowan jelly." }],
  },
];

export interface FakeWorld {
  conversations: ConversationView[];
  messages: MessageView[];
}

export function fakeWorld(now: number): FakeWorld {
  const messages: MessageView[] = [];
  let order = 0;
  const conversations = people.map((person, place): ConversationView => {
    const id = (place + 1).toString(16).padStart(64, "c");
    const own = person.lines.map((line, index): MessageView => {
      order += 1;
      const mine = line.mine ?? false;
      return {
        id: (place * 1000 + index).toString(16).padStart(32, "0"),
        conversation: id,
        order: line.state === "failed" || line.state === "sending" ? unplaced + order : order,
        sender: mine ? fakeProfile.accountId : person.accountId,
        senderName: mine ? fakeProfile.displayName : person.title,
        mine,
        at: now - line.ago,
        clockOff: line.clockOff ?? false,
        text: line.text ?? "",
        notice: line.notice ?? null,
        state: line.state ?? (mine ? "sent" : "received"),
        error: line.error ?? null,
      };
    });
    messages.push(...own);
    const last = own[own.length - 1];
    const unread = person.unread ?? 0;
    const seen = own[own.length - 1 - Math.min(unread, own.length)];
    return {
      id,
      kind: person.address === null ? "noteToSelf" : "direct",
      title: person.title,
      address: person.address,
      accountId: person.accountId,
      trust: person.trust,
      last: last ? { text: last.text, notice: last.notice, at: last.at, mine: last.mine, state: last.state } : null,
      unread,
      readOrder: unread === 0 ? order : (seen?.order ?? 0),
      draft: person.draft ?? "",
      problem: person.problem ?? null,
      activeAt: last?.at ?? now,
    };
  });
  return { conversations, messages };
}

/** Looks like a QR code and says nothing. */
export function fakeQr(size = 49): string {
  const isFinder = (x: number, y: number): boolean | undefined => {
    for (const [left, top] of [[0, 0], [size - 7, 0], [0, size - 7]] as const) {
      const dx = x - left;
      const dy = y - top;
      if (dx < -1 || dy < -1 || dx > 7 || dy > 7) continue;
      const ring = Math.max(Math.abs(dx - 3), Math.abs(dy - 3));
      return ring !== 2 && ring !== 4;
    }
    return undefined;
  };
  let noise = 12_345;
  let modules = "";
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      noise = (noise * 1_103_515_245 + 12_345) % 2_147_483_648;
      modules += (isFinder(x, y) ?? noise % 1000 > 500) ? "1" : "0";
    }
  }
  return modules;
}
