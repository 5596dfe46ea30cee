// How does Hydrogen become a page? Its library has every view of it, and no page.
//
// https://github.com/element-hq/hydrogen-web

import { FeatureSet, Platform, RootViewModel, createNavigation, createRouter } from "hydrogen-view-sdk";
import "hydrogen-view-sdk/theme-element-light.css";
import downloadSandbox from "hydrogen-view-sdk/download-sandbox.html?url";
import worker from "hydrogen-view-sdk/main.js?url";
import wasmBundle from "@matrix-org/olm/olm.js?url";
import wasm from "@matrix-org/olm/olm.wasm?url";
import legacyBundle from "@matrix-org/olm/olm_legacy.js?url";

const platform = new Platform({
  container: document.querySelector("#app"),
  assetPaths: { downloadSandbox, worker, olm: { wasm, legacyBundle, wasmBundle }, serviceWorker: "sw.js" },
  config: { defaultHomeServer: "" },
});
const navigation = createNavigation();
platform.setNavigation(navigation);
await platform.init();
const urlRouter = createRouter({ navigation, history: platform.history });
urlRouter.attach();
const features = await FeatureSet.load(platform.settingsStorage);
const root = new RootViewModel({ platform, urlRouter, navigation, features });
await root.load();
platform.createAndMountRootView(root);
