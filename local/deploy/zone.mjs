// What stands between other servers and the Worker? Defences of the zone that take a server for a bot: they are told to let
// the Worker's host be. https://developers.cloudflare.com/waf/custom-rules/skip/options/

const RULE = "tombolo";
const PHASE = "http_request_firewall_custom";

/** The rule for this host. Rate limits are the operator's own, and stay. */
function skipping(domain) {
  return {
    ref: `${RULE}_${domain.replace(/[^a-z0-9]/gi, "_")}`,
    description: `Matrix at ${domain}: servers and clients are no browsers`,
    expression: `http.host eq "${domain}"`,
    action: "skip",
    action_parameters: { products: ["bic", "securityLevel"], phases: ["http_request_sbfm", "http_request_firewall_managed"] },
    logging: { enabled: false },
    enabled: true,
  };
}

/**
 * Sets what the API can set for the host. `api(method, path, body)` asks Cloudflare's API and answers `{ status, result }`,
 * or throws.
 */
export async function open(api, domain) {
  const zone = await zoneOf(api, domain);
  await skip(api, `/zones/${zone}/rulesets`, skipping(domain));
  // Other servers sign the path as they sent it: https://spec.matrix.org/v1.19/server-server-api/#request-authentication
  await api("PUT", `/zones/${zone}/url_normalization`, { scope: "none", type: "cloudflare" });
}

async function zoneOf(api, domain) {
  const labels = domain.split(".");
  for (let at = 0; at < labels.length - 1; at++) {
    const { result } = await api("GET", `/zones?name=${labels.slice(at).join(".")}`);
    if (result.length > 0) return result[0].id;
  }
  throw new Error(`no zone of ${domain} is within reach`);
}

/** First of all rules, since it is about those that follow. */
async function skip(api, rulesets, rule) {
  const entry = `${rulesets}/phases/${PHASE}/entrypoint`;
  const { status, result } = await api("GET", entry);
  if (status === 404) return api("PUT", entry, { rules: [rule] });
  const present = result.rules?.find(({ ref }) => ref === rule.ref);
  if (present) return api("PATCH", `${rulesets}/${result.id}/rules/${present.id}`, rule);
  return api("POST", `${rulesets}/${result.id}/rules`, { ...rule, position: { index: 1 } });
}
