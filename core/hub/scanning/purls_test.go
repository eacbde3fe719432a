package scanning

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestPackageNames(t *testing.T) {
	for purl, want := range map[string]string{
		"pkg:deb/debian/libssl3@3.0.11?arch=amd64&distro=bookworm&source=openssl": "pkg:deb/debian/libssl3 pkg:deb/debian/openssl",
		"pkg:deb/debian/libssl3@1%2B2?upstream=openssl%403.0":                     "pkg:deb/debian/libssl3 pkg:deb/debian/openssl",
		"pkg:npm/%40scope/name@1.0.0#sub":                                         "pkg:npm/%40scope/name",
		"pkg:golang/example.com/a/b@v1?source=x/y":                                "pkg:golang/example.com/a/b",
		"pkg:apk/alpine/libcrypto3@3?origin=openssl":                              "pkg:apk/alpine/libcrypto3 pkg:apk/alpine/openssl",
		"http://x/y": "",
		"pkg:":       "",
	} {
		if got := strings.Join(packageNames(purl), " "); got != want {
			t.Errorf("%s: %s, want %s", purl, got, want)
		}
	}
}

// document has purls as SPDX and CycloneDX have them, one with an escape.
const document = `{"packages":[{"name":"\"pkg:no","externalRefs":[{"referenceLocator":"pkg:deb/debian/bash@5?arch=amd64\u0026source=bash"}]}],
	"components":[{"purl":"pkg:npm/left-pad@1"},{"purl":"pkg:npm/bad`

func TestPURLsComeInPieces(t *testing.T) {
	for size := 1; size < len(document); size += 7 {
		p := newPURLs()
		for part := range slices.Chunk([]byte(document), size) {
			_, _ = p.Write(part)
		}
		if got := strings.Join(p.sorted(), " "); got != "pkg:deb/debian/bash pkg:npm/left-pad" {
			t.Errorf("in pieces of %d: %s", size, got)
		}
	}
}

// FuzzPURLs: however a document is cut, the same names are found; and what is found in JSON is a text of it.
func FuzzPURLs(f *testing.F) {
	f.Add([]byte(document), 3)
	f.Add([]byte(`"pkg:a/b\\"pkg:c/d"`), 1)
	f.Add([]byte(`""pkg:"pkg:a/b@1"`), 5)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		whole, cut := newPURLs(), newPURLs()
		_, _ = whole.Write(text)
		for part := range slices.Chunk(text, 1+max(0, size)%64) {
			_, _ = cut.Write(part)
		}
		if a, b := whole.sorted(), cut.sorted(); !slices.Equal(a, b) {
			t.Fatalf("%q, in pieces %q", a, b)
		}
		if !json.Valid(text) {
			return
		}
		for _, name := range whole.sorted() {
			if !strings.HasPrefix(name, "pkg:") || strings.ContainsRune(name, 0) {
				t.Errorf("%q is no name", name)
			}
		}
	})
}

func TestPackedNumbers(t *testing.T) {
	packed := packNumbers([]int64{300, 7, 1 << 40})
	for n, want := range map[int64]bool{7: true, 300: true, 1 << 40: true, 8: false, 307: false} {
		if holds(packed, map[int64]bool{n: true}) != want {
			t.Errorf("%d: want %t", n, want)
		}
	}
	if holds(nil, map[int64]bool{1: true}) || !holds([]byte{0x80}, map[int64]bool{1: true}) {
		t.Error("nothing holds something, or what is damaged does not")
	}
}
