// Package portal serves the hub's portal: a page in the browser that uses the hub's API and nothing else.
//
// The site is built from the folder ui by contrib/dev/portal.sh and committed in the folder site, so that Go alone builds
// the hub. The names of its files in assets have a hash of their content and never change what they are; index.html
// names them, and is the answer for the address of every page, which the script in it then shows.
//
// The page finds the hub from a <base> whose address is relative to the page's own. So the hub needs no word about a proxy
// in front of it that adds a prefix to all addresses.
package portal

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed site
var site embed.FS

// policy lets the page load what the hub itself serves, and nothing else. The terminal of a container's shell (xterm.js) writes
// its sizes and colours as styles of its own, so that styles may be in the page; scripts may not.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'self'; " +
	"form-action 'self'; frame-ancestors 'none'"

// file is one of the site, in the two forms in which it is sent.
type file struct {
	plain, zipped []byte
	kind          string // the media type
	tag           string // the ETag
}

type handler struct {
	files map[string]file
	page  string // index.html, without an address in its <base>
}

// placeholder is what index.html has as the address of its <base>.
const placeholder = `<base href="./">`

// Handler serves the portal: the files of the site, and index.html for what else a browser asks for. It answers 404 to
// others, so that a program that asks for an address that is not there is told so.
func Handler() (http.Handler, error) {
	h := handler{files: map[string]file{}}
	err := fs.WalkDir(site, "site", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := site.ReadFile(name)
		if err != nil {
			return err
		}
		if name = strings.TrimPrefix(name, "site"); name == "/index.html" {
			h.page = string(text)
			return nil
		}
		h.files[name], err = newFile(name, text)
		return err
	})
	if err == nil && strings.Count(h.page, placeholder) != 1 {
		err = fmt.Errorf("portal: index.html has no %s", placeholder)
	}
	return h, err
}

func newFile(name string, text []byte) (file, error) {
	sum := sha256.Sum256(text)
	f := file{plain: text, kind: mime.TypeByExtension(path.Ext(name)), tag: `"` + hex.EncodeToString(sum[:8]) + `"`}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return f, err
	}
	if _, err := z.Write(text); err != nil {
		return f, err
	}
	if err := z.Close(); err != nil {
		return f, err
	}
	f.zipped = b.Bytes()
	return f, nil
}

// ServeHTTP implements http.Handler.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "same-origin")
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if f, ok := h.files[r.URL.Path]; ok {
		if strings.HasPrefix(r.URL.Path, "/assets/") {
			head.Set("Cache-Control", "public, max-age=31536000, immutable")
		} else {
			head.Set("Cache-Control", "no-cache")
		}
		f.serve(w, r)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/assets/") || r.URL.Path != "/" && !wantsPage(r) {
		http.NotFound(w, r)
		return
	}
	// The number of folders in the address as it was sent: an escaped slash is no folder to a browser.
	up := strings.Count(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	base := "./" + strings.Repeat("../", up)
	f := file{plain: []byte(strings.Replace(h.page, placeholder, `<base href="`+base+`">`, 1)), kind: "text/html; charset=utf-8"}
	head.Set("Cache-Control", "no-cache")
	head.Add("Vary", "Accept")
	f.serve(w, r)
}

// wantsPage says whether a browser asks for something to show.
func wantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Type", f.kind)
	text := f.plain
	if f.tag != "" {
		head.Set("ETag", f.tag)
		head.Add("Vary", "Accept-Encoding")
		if r.Header.Get("If-None-Match") == f.tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if len(f.zipped) < len(f.plain) && takesGzip(r.Header.Get("Accept-Encoding")) {
			head.Set("Content-Encoding", "gzip")
			text = f.zipped
		}
	}
	head.Set("Content-Length", fmt.Sprint(len(text)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(text) // the browser has gone
}

// takesGzip reads Accept-Encoding as far as browsers write it: gzip is there, and not with a weight of 0.
func takesGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight = strings.ReplaceAll(weight, " ", "")
			return weight != "q=0" && !strings.HasPrefix(weight, "q=0.0")
		}
	}
	return false
}
