import { mount } from "svelte";
import App from "./App.svelte";
import { chooseBackend } from "./lib/backend";
import { AppModel } from "./lib/state/app.svelte";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";

const app = new AppModel(await chooseBackend());
app.preferences.show();
const target = document.querySelector("#window");
if (target) mount(App, { target, props: { app } });
await app.start();
