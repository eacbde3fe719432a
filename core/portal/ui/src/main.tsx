import { render } from "preact";
import { App } from "./app";
import { begin } from "./lib/router";
import { beginTheme } from "./shell/shell";
import "./style/main.css";

begin();
beginTheme();
render(<App />, document.getElementById("app")!);
