"""What does a client tell of its user: receipts, typing, account data, profiles?

https://spec.matrix.org/v1.19/client-server-api/#modules
"""

from ..call import USERS, Call, Json
from ..story import Story, asked

FIELDS = ("displayname", "avatar_url")
KINDS = ("m.fully_read", "m.read", "m.read.private")


@asked(4)
def receipt(story: Story) -> Call:
    dice, room = story.dice, story.room()
    kind = dice.weighted([(6, "m.read"), (3, "m.read.private"), (2, "m.fully_read"), (1, "nonsense")])
    body: dict[str, Json] = {"thread_id": dice.one(["main", story.event(room), ""])} if dice.percent(20) else {}
    return Call("receipt", story.member(room), "POST", f"/v3/rooms/{room.name}/receipt/{kind}/{story.event(room)}", body=story.body(**body))


@asked(2)
def read_markers(story: Story) -> Call:
    room = story.room()
    # Of several, Synapse has taken some when it refuses one: these are there since the room is.
    marks: dict[str, Json] = {kind: story.dice.one(room.events[:4]) for kind in KINDS if room.events and story.dice.percent(50)}
    return Call("read_markers", story.member(room), "POST", f"/v3/rooms/{room.name}/read_markers", body=story.body(**marks))


@asked(3)
def typing(story: Story) -> Call:
    room = story.room()
    who = story.member(room)
    whose = f"<{who}>" if story.dice.percent(90) else story.somebody()
    # Long enough that none ends by itself.
    body: dict[str, Json] = {"typing": True, "timeout": 110000} if story.dice.percent(60) else {"typing": False}
    return Call("typing", who, "PUT", f"/v3/rooms/{room.name}/typing/{whose}", body=story.body(**body))


@asked(1)
def presence(story: Story) -> Call:
    # It is off at both: what is set has no effect.
    who = story.user()
    whose = f"<{who}>" if story.dice.percent(80) else story.somebody()
    if story.dice.percent(50):
        return Call("presence", who, "GET", f"/v3/presence/{whose}/status")
    body: dict[str, Json] = {"presence": story.dice.one(["online", "unavailable", "offline"])}
    if story.dice.percent(30):
        body["status_msg"] = story.text()
    return Call("presence", who, "PUT", f"/v3/presence/{whose}/status", body=body)


@asked(1)
def ping_appservice(story: Story) -> Call:
    # No user is an application service.
    return Call("ping_appservice", story.user(), "POST", "/v1/appservice/bridge/ping", body=story.body(transaction_id="ping"))


@asked(3)
def set_account_data(story: Story) -> Call:
    who, path = _account_data(story)
    return Call("account_data", who, "PUT", path, body=story.body(mark=story.text()))


@asked(2)
def account_data(story: Story) -> Call:
    who, path = _account_data(story)
    return Call("account_data", who, "GET", path)


@asked(2)
def remove_account_data(story: Story) -> Call:
    who, path = _account_data(story)
    if story.dice.percent(30):
        return Call("account_data", who, "PUT", path, body={})
    return Call("account_data", who, "DELETE", path.replace("/v3/", "/unstable/org.matrix.msc3391/"))


@asked(1)
def set_push_rules(story: Story) -> Call:
    who = story.user()
    return Call("account_data", who, "PUT", f"/v3/user/<{who}>/account_data/m.push_rules", body={})


@asked(1)
def set_pusher(story: Story) -> Call:
    kind = story.dice.weighted([(4, "http"), (2, None), (1, "nonsense")])
    body: dict[str, Json] = {
        "app_id": "org.example.app",
        "pushkey": story.dice.one(["one", "two"]),
        "kind": kind,
        "app_display_name": "App",
        "device_display_name": "Phone",
        "lang": "en",
        "append": True,
        # Nothing is at this place.
        "data": {"url": "http://127.0.0.1:9/_matrix/push/v1/notify", "format": "event_id_only"},
    }
    return Call("pushers", story.user(), "POST", "/v3/pushers/set", body=story.body(**body))


@asked(1)
def pushers(story: Story) -> Call:
    return Call("pushers", story.user(), "GET", "/v3/pushers")


@asked(1)
def notifications(story: Story) -> Call:
    return Call("notifications", story.user(), "GET", "/v3/notifications?limit=50")


@asked(1)
def delayed_events(story: Story) -> Call:
    """None are there: IDs differ, and so does when each is sent."""
    return Call("delayed_events", story.user(), "GET", "/unstable/org.matrix.msc4140/delayed_events")


@asked(1)
def cancel_delayed_event(story: Story) -> Call:
    return Call("cancel_delayed_event", story.user(), "POST", "/unstable/org.matrix.msc4140/delayed_events/none", body={"action": "cancel"})


@asked(1)
def ignore(story: Story) -> Call:
    who = story.user()
    # Synapse refuses to have users ignore themselves.
    ignored: Json = {f"<{user}>": {} for user in USERS if user != who and story.dice.percent(30)}
    path = f"/v3/user/<{who}>/account_data/m.ignored_user_list"
    return Call("account_data", who, "PUT", path, body=story.body(ignored_users=ignored))


@asked(1)
def set_profile(story: Story) -> Call:
    who, field = story.user(), story.dice.one(FIELDS)
    value = story.text() if field == "displayname" else f"mxc://example.org/{story.text()}"
    whose = f"<{who}>" if story.dice.percent(90) else story.somebody()
    return Call("profile", who, "PUT", f"/v3/profile/{whose}/{field}", body=story.body(**{field: value}))


@asked(2)
def profile(story: Story) -> Call:
    field = story.dice.one(["", *(f"/{field}" for field in FIELDS)])
    return Call("profile", story.user(), "GET", f"/v3/profile/{story.somebody()}{field}")


def _account_data(story: Story) -> tuple[str, str]:
    who = story.user()
    whose = f"<{who}>" if story.dice.percent(93) else story.somebody()
    kind = story.dice.weighted([(8, "org.example.mark"), (2, "m.direct"), (1, "m.fully_read")])
    room = f"/rooms/{story.room().name}" if story.dice.percent(50) else ""
    return who, f"/v3/user/{whose}{room}/account_data/{kind}"


SUBSCRIPTIONS = "/unstable/io.element.msc4306/rooms"


@asked(3)
def subscribe_to_thread(story: Story) -> Call:
    room, body = story.room(), {}
    if story.dice.percent(50):
        body["automatic"] = story.event(room)
    path = f"{SUBSCRIPTIONS}/{room.name}/thread/{story.event(room)}/subscription"
    return Call("subscriptions", story.member(room), "PUT", path, body=story.body(**body))


@asked(2)
def unsubscribe_from_thread(story: Story) -> Call:
    room = story.room()
    path = f"{SUBSCRIPTIONS}/{room.name}/thread/{story.event(room)}/subscription"
    return Call("subscriptions", story.member(room), "DELETE", path)


@asked(2)
def subscription_to_thread(story: Story) -> Call:
    room = story.room()
    path = f"{SUBSCRIPTIONS}/{room.name}/thread/{story.event(room)}/subscription"
    return Call("subscriptions", story.member(room), "GET", path)
