#!/usr/bin/env python3
"""A scanner for Harbor's pluggable scanner API, for tests: Python's standard library and nothing else.

It pulls the image with the credential of the request, reads dpkg's list of packages in its layers, and knows the
weaknesses that its argument names: a JSON list of {"id", "package", "fix_version", "severity"}.

Usage: adapter.py API-KEY WEAKNESSES [TOO-EARLY]
The first TOO-EARLY questions for a report come too early.
It prints its port and serves on 127.0.0.1 until its standard input ends.
"""
import io
import json
import sys
import tarfile
import threading
import urllib.request
import uuid
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFESTS = ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"]
REPORT = "application/vnd.security.vulnerability.report; version=1.1"
SBOM = "application/vnd.security.sbom.report+json; version=1.0"
KEY, KNOWN, TOO_EARLY = sys.argv[1], json.loads(sys.argv[2]), int((sys.argv + ["0"])[3])
SCANNER = {"name": "Python", "vendor": "tests", "version": "1.0"}
UPDATED = datetime.now(timezone.utc).isoformat()


class Scan:
    def __init__(self, request):
        self.request, self.packages, self.error, self.asked = request, [], None, 0
        self.done = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def get(self, path):
        registry = self.request["registry"]
        req = urllib.request.Request(registry["url"] + "/v2/" + self.request["artifact"]["repository"] + path)
        req.add_header("Authorization", registry["authorization"])
        req.add_header("Accept", ", ".join(MANIFESTS))
        with urllib.request.urlopen(req, timeout=30) as res:
            return res.read()

    def run(self):
        try:
            manifest = json.loads(self.get("/manifests/" + self.request["artifact"]["digest"]))
            for layer in manifest["layers"]:
                with tarfile.open(fileobj=io.BytesIO(self.get("/blobs/" + layer["digest"]))) as tar:
                    for member in tar:
                        if member.name == "var/lib/dpkg/status":
                            self.packages = stanzas(tar.extractfile(member).read().decode())
        except Exception as e:  # whatever it is, the client shall hear of it
            self.error = str(e)
        self.done.set()

    def vulnerabilities(self):
        return [dict(v, package=name, version=version, description="<script>alert('%s')</script>" % v["id"],
                     links=["https://example.com/" + v["id"], "javascript:alert(1)"], preferred_cvss={"score_v3": 9.8, "score_v2": None, "vector_v3": "", "vector_v2": ""},
                     vendor_attributes={"found_by": "python"})
                for name, version in self.packages for v in KNOWN if v["package"] == name]

    def sbom(self, media):
        if "spdx" in media:
            return {"spdxVersion": "SPDX-2.3", "packages": [{"name": n, "versionInfo": v} for n, v in self.packages]}
        return {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": n, "version": v} for n, v in self.packages]}


def stanzas(text):
    out = []
    for stanza in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line)
        out.append((fields["Package"], fields["Version"]))
    return out


SCANS = {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, code, body, kind="application/json", **headers):
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, code, message):
        self.answer(code, {"error": {"message": message}})

    def allowed(self):
        if self.headers.get("X-ScannerAdapter-API-Key") == KEY:
            return True
        self.refuse(401, "wrong key")
        return False

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if not self.allowed():
            return
        if self.path != "/api/v1/scan":
            return self.refuse(404, "no such route")
        if not self.headers["Content-Type"].startswith("application/vnd.scanner.adapter.scan.request+json"):
            return self.refuse(415, "another content type")
        ident = str(uuid.uuid4())
        SCANS[ident] = Scan(json.loads(body))
        self.answer(202, {"id": ident}, "application/vnd.scanner.adapter.scan.response+json; version=1.0")

    def do_GET(self):
        if not self.allowed():
            return
        path, _, query = self.path.partition("?")
        if path == "/api/v1/metadata":
            return self.answer(200, {"scanner": SCANNER, "properties": {"harbor.scanner-adapter/vulnerability-database-updated-at": UPDATED}, "capabilities": [
                {"type": "vulnerability", "consumes_mime_types": MANIFESTS, "produces_mime_types": [REPORT]},
                {"type": "sbom", "consumes_mime_types": MANIFESTS, "produces_mime_types": [SBOM],
                 "additional_attributes": {"sbom_media_types": ["application/spdx+json", "application/vnd.cyclonedx+json"]}}]},
                "application/vnd.scanner.adapter.metadata+json; version=1.1")
        scan = SCANS.get(path.split("/")[4]) if path.startswith("/api/v1/scan/") else None
        if scan is None:
            return self.refuse(404, "no such scan")
        scan.asked += 1
        if scan.asked <= TOO_EARLY or not scan.done.wait(0.5):
            return self.answer(302, {}, Refresh_After="1", Location="https://elsewhere.example.com/")
        if scan.error:
            return self.refuse(500, scan.error)
        report = {"generated_at": datetime.now(timezone.utc).isoformat(), "artifact": scan.request["artifact"], "scanner": SCANNER}
        accept = self.headers["Accept"]
        if accept == REPORT:
            report.update(severity="Critical", vulnerabilities=scan.vulnerabilities())
        elif accept == SBOM:
            media = urllib.request.unquote(query.removeprefix("sbom_media_type="))
            report.update(media_type=media, sbom=scan.sbom(media))
        else:
            return self.refuse(422, "no report of the type " + accept)
        self.answer(200, report, accept)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
print(server.server_address[1], flush=True)
server.serve_forever()
