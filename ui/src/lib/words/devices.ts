/** The words of the account's devices, and of linking another one. */
import type { LinkStage } from "../state/devices.svelte";
import { count } from "./people";

/** What the first screen of a new computer calls it, as the steps on the other one say. */
export const linkChoice = "Link to an account you have";

/** What a new device has, and what not. */
export const whatIsLinked = "The new device gets your contacts and takes part in your conversations from now on. What was said before is not copied to it.";

/** What happens meanwhile, for those who do not see it change. */
export const stageWords: Record<LinkStage, string> = {
  off: "",
  code: "The code is ready. Nothing is linked until you have confirmed it here.",
  request: "A device asks to be linked to your account.",
  adding: "Linking … The device comes into your account by itself.",
  over: "",
};

/** How long a code is still valid. */
export function validWords(until: number, now: number): string {
  const minutes = Math.floor((until - now) / 60_000);
  return minutes < 1 ? "Valid for less than a minute." : `Valid for ${count(minutes, "more minute", "more minutes")}.`;
}
