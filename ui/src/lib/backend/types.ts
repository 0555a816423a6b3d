/**
 * The values that cross the bridge, as the window uses them.
 *
 * They are the generated bindings with one correction: specta writes every `f64` as `number | null`, because JSON has no
 * NaN. The engine's times and orders are whole numbers, so here they are plain numbers.
 */
import type * as bound from "./bindings";

type Whole<T> = [T] extends [null]
  ? T
  : [T] extends [number | null]
    ? number
    : T extends readonly (infer Item)[]
      ? Whole<Item>[]
      : T extends object
        ? { [Key in keyof T]: Key extends MayLack ? T[Key] : Whole<T[Key]> }
        : T;

/** The numbers that may be missing. Anything else of the name is no `f64`, and stays as it is. */
type MayLack = "nextRotationAt" | "due" | "version" | "logIndex" | "index" | "seq";

export type AccountKeyOutcomeView = Whole<bound.AccountKeyOutcomeView>;
export type AppState = Whole<bound.AppState>;
// Not `Whole`: since when may be missing.
export type BlockedView = bound.BlockedView;
export type Connection = Whole<bound.Connection>;
export type ContactView = bound.ContactView;
export type ConversationKind = bound.ConversationKind;
export type ConversationView = Whole<bound.ConversationView>;
export type DeviceOfferView = Whole<bound.DeviceOfferView>;
export type DeviceRequestView = bound.DeviceRequestView;
export type DeviceView = Whole<bound.DeviceView>;
export type DevicesView = Whole<bound.DevicesView>;
export type EngineEvent = Whole<bound.Event>;
export type ErrorCode = bound.ErrorCode;
export type ErrorView = bound.ErrorView;
export type GroupLinkView = bound.GroupLinkView;
export type GroupOfferView = bound.GroupOfferView;
export type GroupView = bound.GroupView;
export type InviteView = bound.InviteView;
export type KeyEvent = bound.KeyEvent;
export type KeyHistoryItem = Whole<bound.KeyHistoryItem>;
export type KeysView = Whole<bound.KeysView>;
export type LinkWaitView = bound.LinkWaitView;
export type LogView = Whole<bound.LogView>;
export type ContradictionView = Whole<bound.ContradictionView>;
export type KeyAlarmView = Whole<bound.KeyAlarmView>;
export type RestorationView = Whole<bound.RestorationView>;
export type ContradictionKind = bound.ContradictionKind;
export type LastLine = Whole<bound.LastLine>;
export type MemberView = bound.MemberView;
export type MessagePage = Whole<bound.MessagePage>;
export type MessageState = bound.MessageState;
export type MessageView = Whole<bound.MessageView>;
export type Notice = bound.Notice;
export type PhraseCheck = bound.PhraseCheck;
export type PhraseChallenge = bound.PhraseChallenge;
export type PhraseView = bound.PhraseView;
export type ProfileView = bound.ProfileView;
export type QrView = bound.QrView;
export type RelayView = bound.RelayView;
export type Role = bound.Role;
export type RotationOutcomeView = Whole<bound.RotationOutcomeView>;
export type RotationSchedule = bound.RotationSchedule;
export type RotationWait = bound.RotationWait;
export type RotationWaitView = Whole<bound.RotationWaitView>;
export type Safety = bound.Safety;
export type SafetyComparison = bound.SafetyComparison;
// Not `Whole`: its times may be missing.
export type SafetyNumberView = bound.SafetyNumberView;
export type Standing = bound.Standing;
export type Trust = bound.Trust;
