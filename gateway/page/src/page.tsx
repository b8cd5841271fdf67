import { Legend } from "./draw/legend";
import { Picture, Tooltip } from "./interact/picture";
import { Toolbar } from "./interact/toolbar";
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
          <Legend />
          <BelowPicture />
        </section>
        <SidePanel />
      </main>
      <Tooltip />
      <Dialogs />
    </>
  );
}
