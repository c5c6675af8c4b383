/** An address as answers, logs and events may show it: without user, password, query and fragment. */
export function shownUrl(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (!url?.host) return "(not a URL)";
  const { username, password, search, hash } = url;
  if (`${username}${password}${search}${hash}` === "") return address;
  const hasPath = /^[^:]+:\/\/[^/?#]*\//.test(address);
  url.username = url.password = url.search = url.hash = "";
  return hasPath ? url.href : url.href.replace(/\/$/, "");
}
