package registry

import (
	"context"
	"errors"
	"net"
	"net/http"
	"regexp"
	"strings"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/registry/api/errcode"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

var (
	codeNameUnknown = errcode.ErrorCodeNameUnknown
	tagPattern      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	contentRange    = regexp.MustCompile(`^[0-9]{1,18}-[0-9]{1,18}$`)
)

// kind is what a path of /v2/ names.
type kind int

const (
	base kind = iota
	catalog
	tags
	manifests
	referrers
	blobContent
	uploads // to begin one
	upload  // one that has begun
)

// route is a path of /v2/.
type route struct {
	kind kind
	name string // of the repository
	ref  string // tag, digest or number of an upload
}

// request is what the registry knows of a request, for those whom distribution's handlers call.
type request struct {
	route
	caller  Caller
	r       *http.Request
	failure error      // what distribution's handlers would call an unknown error
	seen    *firstLook // nil: nothing
	upload  *writer    // that distribution's handlers go on with
}

type requestKey struct{}

// asking finds the request that a context belongs to.
func asking(ctx context.Context) *request {
	q, _ := ctx.Value(requestKey{}).(*request)
	return q
}

// parse reads a path; false: there is no such thing here. Names are matched as a whole, so a path that distribution's
// router would read in another way never gets there.
func parse(path string) (route, bool, error) {
	p, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return route{}, path == "/v2", nil
	}
	var x route
	switch {
	case p == "":
		return x, true, nil
	case p == "_catalog":
		return route{kind: catalog}, true, nil
	case strings.HasSuffix(p, "/tags/list"):
		x = route{kind: tags, name: strings.TrimSuffix(p, "/tags/list")}
	case strings.HasSuffix(p, "/blobs/uploads") || strings.HasSuffix(p, "/blobs/uploads/"):
		x = route{kind: uploads, name: strings.TrimSuffix(strings.TrimSuffix(p, "/"), "/blobs/uploads")}
	default:
		for sep, k := range map[string]kind{"/manifests/": manifests, "/referrers/": referrers, "/blobs/uploads/": upload, "/blobs/": blobContent} {
			i := strings.LastIndex(p, sep)
			if i >= 0 && !strings.Contains(p[i+len(sep):], "/") {
				x = route{kind: k, name: p[:i], ref: p[i+len(sep):]}
			}
		}
		if x.kind == base {
			return x, false, nil
		}
	}
	return x, true, checkName(x.name)
}

// checkName refuses what is no name of a repository, with its project in front.
func checkName(name string) error {
	if len(name) > maxName {
		return errcode.ErrorCodeNameInvalid.WithMessage("a repository's name has at most 255 characters")
	}
	if _, err := reference.WithName(name); err != nil {
		return errcode.ErrorCodeNameInvalid.WithDetail(map[string]string{"name": name})
	}
	if !strings.Contains(name, "/") {
		return errcode.ErrorCodeNameInvalid.WithMessage("a repository's name begins with its project: " + name + "/NAME or PROJECT/" + name)
	}
	return nil
}

// wanted is what a caller must be allowed for a request.
func (x route) wanted(method string) []Access {
	repo := func(actions ...Action) (l []Access) {
		for _, a := range actions {
			l = append(l, Access{Type: "repository", Name: x.name, Action: a})
		}
		return l
	}
	switch x.kind {
	case base:
		return []Access{{}}
	case catalog:
		return []Access{{Type: "registry", Name: "catalog", Action: All}}
	case uploads, upload:
		return repo(Pull, Push)
	}
	switch method {
	case http.MethodGet, http.MethodHead:
		return repo(Pull)
	case http.MethodDelete:
		return repo(Delete)
	}
	return repo(Pull, Push)
}

// methods are what each kind of path answers to.
var methods = map[kind]string{base: "GET, HEAD", catalog: "GET", tags: "GET", manifests: "GET, HEAD, PUT, DELETE", referrers: "GET",
	blobContent: "GET, HEAD, DELETE", uploads: "POST", upload: "GET, HEAD, PATCH, PUT, DELETE"}

func (x route) allows(method string) bool {
	for m := range strings.SplitSeq(methods[x.kind], ", ") {
		if m == method {
			return true
		}
	}
	return false
}

// ServeHTTP answers a request under /v2/.
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	x, ok, err := parse(r.URL.Path)
	if !ok {
		g.fail(w, r, errcode.ErrorCodeNameUnknown.WithMessage("no such path in a registry"))
		return
	}
	if err != nil {
		g.fail(w, r, err)
		return
	}
	if !x.allows(r.Method) {
		w.Header().Set("Allow", methods[x.kind])
		g.fail(w, r, errcode.ErrorCodeUnsupported)
		return
	}
	ctx, seen, err := g.moment(r, x)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	r = r.WithContext(ctx)
	q := &request{route: x, seen: seen}
	if q.caller, err = g.auth.Authenticate(r); err == nil {
		for _, a := range x.wanted(r.Method) {
			if err = q.caller.May(r.Context(), a); err != nil {
				break
			}
		}
	}
	if err != nil {
		g.refuse(w, r, x, err)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, q))
	q.r = r
	if err := g.serve(w, r, q); err != nil {
		g.fail(w, r, err)
	}
}

// refuse answers one who may not. more is what the request turned out to need beside what its route does.
func (g *Registry) refuse(w http.ResponseWriter, r *http.Request, x route, err error, more ...Access) {
	switch {
	case errors.Is(err, ErrUnauthenticated):
		w.Header().Set("WWW-Authenticate", g.auth.Challenge(r, append(x.wanted(r.Method), more...)))
		err = errcode.ErrorCodeUnauthorized
	case errors.Is(err, ErrDenied):
		err = errcode.ErrorCodeDenied
	case errors.Is(err, ErrHidden):
		err = unknownName(x.name)
	}
	g.fail(w, r, err)
}

func (g *Registry) serve(w http.ResponseWriter, r *http.Request, q *request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		if err := g.mayChange(r.Context(), q.name, r.Method != http.MethodDelete || q.kind == upload); err != nil {
			return err
		}
	}
	switch q.kind {
	case catalog:
		return g.listCatalog(w, r)
	case tags:
		return g.listTags(w, r, q)
	case manifests:
		return g.serveManifest(w, r, q)
	case referrers:
		return g.listReferrers(w, r, q.name, q.ref)
	case uploads:
		done, err := g.post(w, r, q)
		if done || err != nil {
			return err
		}
	case blobContent:
		d, err := digest.Parse(q.ref)
		if err != nil {
			return errcode.ErrorCodeDigestInvalid.WithDetail(q.ref)
		}
		if r.Method != http.MethodDelete {
			err := distribution.ErrBlobUnknown
			if q.seen.blob != nil {
				err = g.sendBlob(w, r, q.name, d, *q.seen.blob)
			}
			if errors.Is(err, distribution.ErrBlobUnknown) {
				err = g.fetchBlob(w, r, q, d)
			}
			return err
		}
	case upload:
		// Distribution calls these unknown errors.
		if cr := r.Header.Get("Content-Range"); cr != "" && !contentRange.MatchString(cr) {
			return errcode.ErrorCodeRangeInvalid.WithDetail(cr)
		}
		if r.Method == http.MethodPatch {
			r.Header.Set("Content-Type", "application/octet-stream")
		}
	}
	g.app.ServeHTTP(&guard{ResponseWriter: w, g: g, r: r, q: q}, r)
	if q.upload != nil { // which distribution leaves open where the client is at another place of it
		_ = q.upload.Close()
	}
	return nil
}

// address is the client's, without its port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
