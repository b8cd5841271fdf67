/** The places that the page keeps for panels; each is empty where there is nothing to say. */
import "./panels.css";
import { dialog } from "../state";
import { Detail } from "./detail";
import { Age, Banner, Counter, WhyEmpty } from "./honesty";
import { NodeList } from "./nodelist";
import { OutMenu } from "./out";
import { KeysNote, ScopeNote, ScopeSwitch } from "./scope";
import { SignIn, SignOutButton } from "./signin";
import { ShareStrip } from "./strip";
import { HeatmapSummary, HottestTable } from "./table";

/** Above the picture: how far it can be believed. */
export function TopBanner() {
  return (
    <>
      <Banner />
      <ScopeNote />
      <KeysNote />
    </>
  );
}

/** The right end of the toolbar: scope, files, session, nodes, age. */
export function ToolbarEnd() {
  return (
    <>
      <ScopeSwitch />
      <OutMenu />
      <SignOutButton />
      <Counter />
      <Age />
    </>
  );
}

/** Over the picture while there is none: why, and what to do. */
export function OverPicture() {
  return <WhyEmpty />;
}

/** Beside the picture. */
export function SidePanel() {
  return <Detail />;
}

/** Below the picture. */
export function BelowPicture() {
  return (
    <>
      <ShareStrip />
      <HottestTable />
      <HeatmapSummary />
    </>
  );
}

export function Dialogs() {
  return (
    <>
      {dialog.value === "nodes" && <NodeList />}
      <SignIn />
    </>
  );
}
