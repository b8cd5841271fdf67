import { Legend } from "./draw/legend";
import { Help } from "./interact/help";
import { Picture } from "./interact/picture";
import { Toolbar } from "./interact/toolbar";
import { Tooltip } from "./interact/tooltip";
import { Whereabouts } from "./interact/whereabouts";
import { BelowPicture, Dialogs, OverPicture, SidePanel, ToolbarEnd, TopBanner } from "./panels/slots";

/** The regions of the page; what they hold is each room's own. */
export function Page() {
  return (
    <>
      <header>
        <h1>Key visualizer</h1>
        <Toolbar />
        <div class="toolbar-end">
          <ToolbarEnd />
        </div>
      </header>
      <TopBanner />
      <main>
        <section class="picture" aria-label="Heatmap">
          <div class="stage">
            <Picture />
            <OverPicture />
          </div>
          <div class="footer">
            <Legend />
            <Whereabouts />
          </div>
          <BelowPicture />
        </section>
        <SidePanel />
      </main>
      <Tooltip />
      <Dialogs />
      <Help />
    </>
  );
}
