#!/usr/bin/python3
"""push.py [--ca FILE] [--user NAME:PASSWORD] LAYOUT[:TAG] http[s]://HOST:PORT/NAME:TAG

Copies an image of an OCI layout into a registry byte for byte: indexes with all they name, and
docker's media types, which skopeo refuses to find in a layout.  Prints the digest.
"""
import argparse, base64, http.client, json, os, ssl, urllib.parse

NAME = "org.opencontainers.image.ref.name"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("layout")
    ap.add_argument("target")
    ap.add_argument("--ca")
    ap.add_argument("--user")
    a = ap.parse_args()
    layout, tag = (a.layout, None) if os.path.isdir(a.layout) else a.layout.rsplit(":", 1)
    url = urllib.parse.urlsplit(a.target)
    repo, to = url.path.lstrip("/").rsplit(":", 1)
    if url.scheme == "https":
        web = http.client.HTTPSConnection(url.netloc, context=ssl.create_default_context(cafile=a.ca))
    else:
        web = http.client.HTTPConnection(url.netloc)
    auth = {"Authorization": "Basic " + base64.b64encode(a.user.encode()).decode()} if a.user else {}

    def call(method, path, want, body=None, **headers):
        web.request(method, path, body, {**auth, **{k.replace("_", "-"): v for k, v in headers.items()}})
        r = web.getresponse()
        text = r.read()
        if r.status not in want:
            raise SystemExit(f"push.py: {method} {path}: {r.status} {text[:300]!r}")
        return r

    def path_of(d):
        return f"{layout}/blobs/sha256/{d['digest'][7:]}"

    def blob(d):
        if call("HEAD", f"/v2/{repo}/blobs/{d['digest']}", (200, 404)).status == 200:
            return
        at = call("POST", f"/v2/{repo}/blobs/uploads/", (202,), b"").getheader("Location")
        at = urllib.parse.urlsplit(at)
        with open(path_of(d), "rb") as f:
            call("PUT", f"{at.path}?{at.query + '&' if at.query else ''}digest={d['digest']}", (201,), f,
                 Content_Type="application/octet-stream", Content_Length=str(os.path.getsize(path_of(d))))

    def manifest(d, ref):
        with open(path_of(d), "rb") as f:
            body = f.read()
        m = json.loads(body)
        for child in m.get("manifests", []):
            manifest(child, child["digest"])
        for part in [m["config"], *m["layers"]] if "layers" in m else []:
            blob(part)
        call("PUT", f"/v2/{repo}/manifests/{ref}", (201,), body, Content_Type=d["mediaType"])

    with open(f"{layout}/index.json") as f:
        found = [d for d in json.load(f)["manifests"] if tag in (None, d.get("annotations", {}).get(NAME))]
    if len(found) != 1:
        raise SystemExit(f"push.py: {a.layout}: {len(found)} images of that name")
    manifest(found[0], to)
    print(found[0]["digest"])


if __name__ == "__main__":
    main()
