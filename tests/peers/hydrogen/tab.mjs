// What does somebody do in Hydrogen, and what is on the screen? Everything goes by what is to be seen, and nothing by the
// library's own objects.

// How long something may take to appear (ms).
const PATIENCE = 30_000;

export class Tab {
  /** Opens the page for somebody of whom the browser knows nothing. */
  static async open(browser, address) {
    const context = await browser.newContext({ viewport: { width: 1200, height: 800 } });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    page.on("pageerror", (error) => console.error("page", error.message));
    page.on("console", (message) => message.type() === "error" && console.error("console", message.text()));
    await page.goto(address);
    // Pictures come through the service worker: it must be there before the first is asked for.
    await page.waitForFunction(() => navigator.serviceWorker.controller);
    return new Tab(context, page);
  }

  constructor(context, page) {
    this.context = context;
    this.page = page;
  }

  async close() {
    await this.context.close();
  }

  /** Signs in, and returns the ID of the device when the rooms are listed. */
  async login({ url, localpart, password }) {
    const { page } = this;
    await page.fill("input#homeserver", url);
    await page.locator("input#homeserver").blur();
    await page.fill("input#username", localpart);
    await page.fill("input#password", password);
    await page.click("button[type=submit]");
    await page.waitForSelector(".LeftPanel .RoomList");
    const [session] = await page.evaluate(() => JSON.parse(localStorage.getItem("hydrogen_sessions_v1")));
    return session.deviceId;
  }

  /** Loads the page again: what it knows, it has kept. */
  async reload() {
    await this.page.reload();
    await this.page.waitForSelector(".LeftPanel .RoomList");
  }

  /** The names of the rooms in the list, as they stand there. */
  async rooms() {
    return this.page.locator(".RoomList .name").allInnerTexts();
  }

  /** Accepts an invite that is in the list, and waits until the room is shown. */
  async accept({ name }) {
    await this.#choose(name);
    await this.page.click(".InviteView button:has-text('Accept')");
    await this.#shown(name);
  }

  /** Shows a room of the list. */
  async show({ name }) {
    await this.#choose(name);
    await this.#shown(name);
  }

  async #choose(name) {
    await this.page.click(`.RoomList li:has-text(${JSON.stringify(name)}) a`);
  }

  async #shown(name) {
    await this.page.waitForSelector(`.RoomView .room-description h2:has-text(${JSON.stringify(name)})`);
    await this.page.waitForSelector(".MessageComposer textarea");
  }

  /** Writes a message and sends it. */
  async say({ body, encrypted }) {
    const composer = this.page.locator(".MessageComposer textarea");
    // Whether it is going to be encrypted stands in the field.
    await this.page.waitForSelector(`.MessageComposer textarea[placeholder*="${encrypted ? "encrypted" : "a message"}"]`);
    await composer.fill(body);
    await composer.press("Enter");
  }

  /** Picks a picture and sends it. */
  async picture({ path }) {
    await this.page.click(".MessageComposer button.sendFile");
    const picking = this.page.waitForEvent("filechooser");
    await this.page.click(".menu button:has-text('Send picture')");
    await (await picking).setFiles(path);
  }

  /** Looks at the oldest of what is shown, by which what is older is fetched. */
  async back() {
    await this.page.locator(".Timeline_scroller").evaluate((scroller) => scroller.scrollTo(0, 0));
  }

  /** What stands in the timeline: the server's ID of each message, and its text. One that is being sent has no ID yet. */
  async messages() {
    return this.page.locator(".Timeline_message:not(.unsent)").evaluateAll((messages) =>
      messages.map((message) => {
        const body = message.querySelector(".Timeline_messageBody")?.cloneNode(true);
        body?.querySelectorAll("time").forEach((time) => time.remove());
        return { id: message.dataset.eventId, body: body?.innerText.trim() ?? "" };
      }),
    );
  }

  /** The pictures in the timeline that are sent and loaded: what each is called, and its size. */
  async pictures() {
    return this.page.locator(".Timeline_message:not(.unsent) .media img").evaluateAll((images) =>
      images
        .filter((image) => image.complete && image.naturalWidth > 0 && !image.src.startsWith("blob:"))
        .map((image) => ({ name: image.alt, width: image.naturalWidth, height: image.naturalHeight })),
    );
  }

  /** Takes a picture of the screen. */
  async shoot({ path }) {
    await this.page.screenshot({ path });
  }
}
