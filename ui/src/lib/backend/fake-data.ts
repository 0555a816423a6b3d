/** Made-up people and messages for the fake backend. */
import { ada, bea, cem, groupOf, jonas, meAs, trustOf, xiaolong } from "./fake-groups";
import type { ContactView, ConversationView, GroupView, LogView, MessageView, ProfileView, Role, Standing } from "./types";

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

/** The one that the fake relay takes. */
export const fakeInvitation = "AAECAwQFBgcICQoLDA0ODw";

export const fakeInvite =
  "https://post.example.org/i#AQEScG9zdC5leGFtcGxlLm9yZ8QgV3h3aW5nLWludml0ZS1kZW1vLWxpbmstbm90LXJlYWw5f3d7aXJ2c3F1c3R1dnd4eXo";

/** A link into a group of Ada's. */
export const fakeGroupLink =
  "https://post.example.org/i#AhEScG9zdC5leGFtcGxlLm9yZ8QgV3h3aW5nLWdyb3VwLWRlbW8tbGluay1ub3QtcmVhbDlmf3t3aXJ2c3F1c3R1dnd4";

interface Line {
  ago: number;
  mine?: boolean;
  /** Who says it in a group. */
  by?: ContactView;
  text?: string;
  state?: MessageView["state"];
  error?: MessageView["error"];
  notice?: MessageView["notice"];
  clockOff?: boolean;
}

interface Talk {
  with: ContactView | "self" | { name: string; role: Role; others: [ContactView, Role][] };
  standing?: Standing;
  blocked?: boolean;
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

const rosalind: ContactView = {
  name: "Rosalind and the very long name of the neighbourhood reading circle",
  address: "rosalind.reading-circle@relay.neighbourhood.example.net:8443",
  accountId: "ee9918d2c4b3a5968778695a4b3c2d1e",
  trust: "invite",
};

const talks: Talk[] = [
  {
    with: ada,
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
    with: jonas,
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
    with: xiaolong,
    unread: 14,
    lines: [
      { ago: 5 * day, notice: { type: "started", name: "李小龍", mine: false } },
      { ago: 4 * day, text: "<img src=x onerror=alert(1)> 只是文字 — just text 🙂" },
    ],
  },
  {
    with: rosalind,
    problem: { code: "chainBroken", detail: "entry 4 does not follow from entry 3" },
    lines: [{ ago: 20 * day, text: "The next book is the one with the lighthouse. Bring biscuits, the ones from last time were excellent." }],
  },
  { with: "self", lines: [{ ago: 30 * hour, mine: true, text: "Ask Ada about the recording. Buy rowan jelly." }] },
  {
    with: { name: "Bird walk on Sundays", role: "admin", others: [[ada, "admin"], [bea, "member"], [cem, "member"], [jonas, "member"]] },
    unread: 1,
    lines: [
      { ago: 6 * day, notice: { type: "started", name: "Maya Lindqvist", mine: true } },
      { ago: 6 * day - minute, notice: { type: "added", by: "Maya Lindqvist", mine: true, names: ["Ada Okafor", "Bea Holm", "Jonas Brandt"], me: false } },
      { ago: 6 * day - 2 * minute, notice: { type: "roleChanged", by: "Maya Lindqvist", mine: true, name: "Ada Okafor", me: false, role: "admin" } },
      { ago: 6 * day - 4 * minute, mine: true, text: "Now we are all in one place. Sunday at seven, by the weir?" },
      { ago: 6 * day - 9 * minute, by: bea, text: "Seven! In the morning?" },
      { ago: 6 * day - 10 * minute, by: bea, text: "I will bring the flask, then." },
      { ago: 6 * day - 12 * minute, by: ada, text: "The kingfisher does not wait. Seven." },
      { ago: 3 * day, notice: { type: "added", by: "Ada Okafor", mine: false, names: ["Cem Yıldız"], me: false } },
      { ago: 3 * day - minute, notice: { type: "renamed", by: "Ada Okafor", mine: false, title: "Bird walk on Sundays" } },
      { ago: 3 * day - 3 * minute, by: cem, text: "Thank you for having me. I have one good pair of binoculars and one that is only for the looks." },
      { ago: 26 * minute, mine: true, text: "The path by the weir is open again." },
      { ago: 21 * minute, by: jonas, text: "Good. Then I can come straight from the boat." },
      { ago: 20 * minute, by: bea, text: "Shall I bring the flask with the tea, or the other one?" },
    ],
  },
  {
    with: { name: "Allotment 14", role: "member", others: [[xiaolong, "admin"], [bea, "member"]] },
    standing: "left",
    lines: [
      { ago: 50 * day, notice: { type: "added", by: "李小龍", mine: false, names: ["Maya Lindqvist", "Bea Holm"], me: true } },
      { ago: 49 * day, by: xiaolong, text: "The water is turned off from November." },
      { ago: 33 * day, notice: { type: "left", name: "Maya Lindqvist", mine: true } },
    ],
  },
  {
    with: { name: "Choir, second voices", role: "member", others: [[rosalind, "admin"]] },
    standing: "removed",
    lines: [
      { ago: 41 * day, by: rosalind, text: "Rehearsals are on Tuesdays from now on." },
      { ago: 40 * day, notice: { type: "removed", by: "Rosalind", mine: false, name: "Maya Lindqvist", me: true } },
    ],
  },
  {
    with: { name: "Theo Vance", address: "theo@post.example.org", accountId: "9a3e5f0172cc48d1b6e0a9d35f7718c2", trust: "firstUse" },
    standing: "request",
    unread: 2,
    lines: [
      { ago: 5 * hour, notice: { type: "started", name: "Theo Vance", mine: false } },
      { ago: 5 * hour - minute, text: "Hello Maya, we met at the boat yard. I found the plan of your grandfather's dinghy." },
      { ago: 5 * hour - 2 * minute, text: "Shall I send you a copy?" },
    ],
  },
  {
    with: { name: "Harbour news", role: "member", others: [[cem, "admin"], [{ name: "Ines", address: "ines@post.example.org", accountId: "5b7700e1c2d3f4a596877869a0b1c2d3", trust: "firstUse" }, "member"]] },
    standing: "request",
    unread: 1,
    lines: [
      { ago: 2 * day, notice: { type: "added", by: "Cem Yıldız", mine: false, names: ["Maya Lindqvist", "Ines"], me: true } },
      { ago: 2 * day - 5 * minute, by: cem, text: "Here go the times of the ferry, and nothing else." },
    ],
  },
  {
    with: { name: "Great Offers Daily", address: "offers@post.example.org", accountId: "666f6f6261726261747a71757578313f", trust: "firstUse" },
    blocked: true,
    standing: "request",
    lines: [{ ago: 9 * day, text: "Dear friend, you have been chosen." }],
  },
];

export interface FakeWorld {
  conversations: ConversationView[];
  messages: MessageView[];
  groups: GroupView[];
}

function linesOf(talk: Talk, id: string, place: number, after: number, now: number): MessageView[] {
  return talk.lines.map((line, index): MessageView => {
    const mine = line.mine ?? false;
    const order = after + index + 1;
    const speaker = line.by ?? (talk.with !== "self" && "accountId" in talk.with ? talk.with : null);
    return {
      id: (place * 1000 + index).toString(16).padStart(32, "0"),
      conversation: id,
      order: line.state === "failed" || line.state === "sending" ? unplaced + order : order,
      sender: mine || !speaker ? fakeProfile.accountId : speaker.accountId,
      senderName: mine || !speaker ? fakeProfile.displayName : speaker.name,
      mine,
      at: now - line.ago,
      clockOff: line.clockOff ?? false,
      text: line.text ?? "",
      notice: line.notice ?? null,
      state: line.state ?? (mine ? "sent" : "received"),
      error: line.error ?? null,
    };
  });
}

/** What a conversation is called and whom it is with. */
function nameOf(talk: Talk, id: string, group: GroupView | null): Pick<ConversationView, "kind" | "title" | "address" | "accountId" | "trust" | "people"> {
  if (group) return { kind: "group", title: group.name, address: null, accountId: id, trust: trustOf(group), people: group.members.length };
  if (talk.with === "self" || !("accountId" in talk.with)) {
    return { kind: "noteToSelf", title: "Note to self", address: null, accountId: fakeProfile.accountId, trust: "own", people: 1 };
  }
  const { name, address, accountId, trust } = talk.with;
  return { kind: "direct", title: name, address, accountId, trust, people: 2 };
}

export function fakeWorld(now: number): FakeWorld {
  const messages: MessageView[] = [];
  const groups: GroupView[] = [];
  let order = 0;
  const conversations = talks.map((talk, place): ConversationView => {
    const id = (place + 1).toString(16).padStart(64, "c");
    const own = linesOf(talk, id, place, order, now);
    order += own.length;
    messages.push(...own);
    const standing = talk.standing ?? "member";
    let group: GroupView | null = null;
    if (talk.with !== "self" && "others" in talk.with) {
      group = groupOf(id, talk.with.name, meAs(fakeProfile, talk.with.role), talk.with.others);
      if (standing === "left" || standing === "removed") group = { ...group, members: group.members.slice(1) };
      groups.push(group);
    }
    const last = own[own.length - 1];
    const unread = talk.unread ?? 0;
    const seen = own[own.length - 1 - Math.min(unread, own.length)];
    return {
      id,
      ...nameOf(talk, id, group),
      // As `FakeSafety` has it, which the backend asks.
      safety: "notVerified",
      standing,
      inviter: null,
      blocked: talk.blocked ?? false,
      last: last ? { text: last.text, notice: last.notice, at: last.at, mine: last.mine, state: last.state } : null,
      unread,
      readOrder: unread === 0 ? order : (seen?.order ?? 0),
      draft: talk.draft ?? "",
      problem: talk.problem ?? null,
      activeAt: last?.at ?? now,
    };
  });
  return { conversations, messages, groups };
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

export function fakeLog(now: number): LogView {
  return {
    origin: "relay.example.org",
    size: 4211,
    read: 4211,
    provedAt: now - 12 * 60_000,
    since: now - 43 * 24 * 3_600_000,
    stale: false,
    withheld: false,
    contradictions: [],
    alarms: [],
    moreAlarms: false,
    restorations: [],
    restoredProblem: null,
    unloggedProblem: null,
  };
}
