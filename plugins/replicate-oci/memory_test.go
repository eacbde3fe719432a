package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// memory is a registry with the referrers API, mounts and deletes by tag. What it took of an upload stays when the connection
// breaks.
type memory struct {
	mu      sync.Mutex
	blobs   map[string][]byte // REPO@DIGEST
	docs    map[string]held   // likewise
	tags    map[string]string // REPO:TAG to a digest
	uploads map[string][]byte
	n       int
}

type held struct {
	mediaType string
	payload   []byte
}

func newMemory() *memory {
	return &memory{blobs: map[string][]byte{}, docs: map[string]held{}, tags: map[string]string{}, uploads: map[string][]byte{}}
}

func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	if repo, ref, ok := strings.Cut(path, "/manifests/"); ok {
		m.manifest(w, r, repo, ref)
	} else if repo, id, ok := strings.Cut(path, "/blobs/uploads/"); ok {
		m.upload(w, r, repo, id)
	} else if repo, d, ok := strings.Cut(path, "/blobs/"); ok {
		m.mu.Lock()
		b, there := m.blobs[repo+"@"+d]
		m.mu.Unlock()
		if !there {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(b)))
	} else if repo, d, ok := strings.Cut(path, "/referrers/"); ok {
		m.referrers(w, repo, d)
	} else if repo, ok := strings.CutSuffix(path, "/tags/list"); ok {
		m.list(w, "tags", repo+":", m.tags)
	} else if path == "_catalog" {
		m.list(w, "repositories", "", nil)
	} else if path != "" {
		w.WriteHeader(http.StatusNotFound)
	}
}

func (m *memory) list(w http.ResponseWriter, what, prefix string, _ map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := map[string]bool{}
	for key := range m.tags {
		name, ok := strings.CutPrefix(key, prefix)
		if prefix == "" {
			name, _, _ = strings.Cut(key, ":")
		}
		if ok {
			seen[name] = true
		}
	}
	all := []string{}
	for name := range seen {
		all = append(all, name)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{what: all})
}

func (m *memory) manifest(w http.ResponseWriter, r *http.Request, repo, ref string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := ref
	if digest.Digest(ref).Validate() != nil {
		d = m.tags[repo+":"+ref]
	}
	x, there := m.docs[repo+"@"+d]
	switch {
	case r.Method == http.MethodPut:
		b, _ := io.ReadAll(r.Body)
		is := digest.FromBytes(b).String()
		m.docs[repo+"@"+is] = held{r.Header.Get("Content-Type"), b}
		if ref != is {
			m.tags[repo+":"+ref] = is
		}
		if doc, err := parse("", b); err == nil && doc.Subject != nil {
			w.Header().Set("OCI-Subject", doc.Subject.Digest.String())
		}
		w.Header().Set("Docker-Content-Digest", is)
		w.WriteHeader(http.StatusCreated)
	case !there:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodDelete && d != ref:
		delete(m.tags, repo+":"+ref)
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodDelete:
		delete(m.docs, repo+"@"+d)
		for tag, is := range m.tags {
			if is == d && strings.HasPrefix(tag, repo+":") {
				delete(m.tags, tag)
			}
		}
		w.WriteHeader(http.StatusAccepted)
	default:
		w.Header().Set("Content-Type", x.mediaType)
		w.Header().Set("Docker-Content-Digest", d)
		w.Header().Set("Content-Length", fmt.Sprint(len(x.payload)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(x.payload)
		}
	}
}

func (m *memory) upload(w http.ResponseWriter, r *http.Request, repo, id string) {
	if r.Method == http.MethodPost {
		m.mu.Lock()
		defer m.mu.Unlock()
		from, d := r.URL.Query().Get("from"), r.URL.Query().Get("mount")
		if b, ok := m.blobs[from+"@"+d]; ok {
			m.blobs[repo+"@"+d] = b
			w.WriteHeader(http.StatusCreated)
			return
		}
		m.n++
		id = fmt.Sprint(m.n)
		m.uploads[id] = []byte{}
		m.where(w, repo, id)
		w.WriteHeader(http.StatusAccepted)
		return
	}
	m.mu.Lock()
	_, ok := m.uploads[id]
	at := len(m.uploads[id])
	m.mu.Unlock()
	if begins, _, given := strings.Cut(r.Header.Get("Content-Range"), "-"); !ok || given && begins != fmt.Sprint(at) {
		w.WriteHeader(map[bool]int{true: http.StatusRequestedRangeNotSatisfiable, false: http.StatusNotFound}[ok])
		return
	}
	buf := make([]byte, 32<<10)
	for r.Method != http.MethodGet && r.Method != http.MethodDelete {
		n, err := r.Body.Read(buf)
		m.mu.Lock()
		m.uploads[id] = append(m.uploads[id], buf[:n]...)
		m.mu.Unlock()
		if err != nil {
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.where(w, repo, id)
	switch d := digest.Digest(r.URL.Query().Get("digest")); {
	case r.Method == http.MethodDelete:
		delete(m.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet:
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPatch:
		w.WriteHeader(http.StatusAccepted)
	case d.Validate() != nil || d != digest.FromBytes(m.uploads[id]):
		w.WriteHeader(http.StatusBadRequest)
	default:
		m.blobs[repo+"@"+d.String()] = m.uploads[id]
		delete(m.uploads, id)
		w.WriteHeader(http.StatusCreated)
	}
}

func (m *memory) where(w http.ResponseWriter, repo, id string) {
	w.Header().Set("Location", "/v2/"+repo+"/blobs/uploads/"+id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, len(m.uploads[id])-1)))
}

func (m *memory) referrers(w http.ResponseWriter, repo, d string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	index := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	for key, x := range m.docs {
		if doc, err := parse("", x.payload); err == nil && strings.HasPrefix(key, repo+"@") && doc.Subject != nil && doc.Subject.Digest.String() == d {
			index.Manifests = append(index.Manifests, v1.Descriptor{MediaType: doc.MediaType, Digest: digest.FromBytes(x.payload), Size: int64(len(x.payload))})
		}
	}
	_ = json.NewEncoder(w).Encode(index)
}
