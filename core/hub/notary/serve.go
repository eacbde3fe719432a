package notary

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/theupdateframework/notary/tuf/data"
	"github.com/theupdateframework/notary/tuf/validation"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

const (
	prefix = "/v2/"
	middle = "/_trust/tuf/"
)

// Serves says whether a path is Notary's, and not the registry's: no repository has such a name.
func Serves(path string) bool {
	return strings.HasPrefix(path, prefix) && strings.Contains(path, middle)
}

// file is what a client wants to read.
type file struct {
	role    data.RoleName
	version int    // 0: the latest
	sum     string // SHA-256 in hexadecimal digits
	key     bool   // the public key of the role
}

var fileName = regexp.MustCompile(`^(?:([1-9][0-9]{0,8})\.)?(root|snapshot|timestamp|targets(?:/[^/\s]+?)*?)(?:\.([0-9a-f]{64}))?\.json$`)

// parseFile reads the last part of a path; ok is false for what is none.
func parseFile(s string) (f file, ok bool) {
	if role, is := strings.CutSuffix(s, ".key"); is {
		f = file{role: data.RoleName(role), key: true}
		return f, f.role == data.CanonicalSnapshotRole || f.role == data.CanonicalTimestampRole
	}
	m := fileName.FindStringSubmatch(s)
	if m == nil || !data.ValidRole(data.RoleName(m[2])) {
		return f, false
	}
	f.role, f.sum = data.RoleName(m[2]), m[3]
	f.version, _ = strconv.Atoi(m[1]) // digits, or nothing
	return f, true
}

// call is one request.
type call struct {
	w          http.ResponseWriter
	r          *http.Request
	who        registry.Caller
	project    int64
	repository string
	gun        data.GUN
}

// failure is an answer that is none.
type failure struct {
	status        int
	code, message string
	detail        any
}

func (f *failure) Error() string { return f.message }

func notThere(text string) error {
	return &failure{status: http.StatusNotFound, code: "METADATA_NOT_FOUND", message: text}
}

// ServeHTTP implements http.Handler, for the paths that Serves names.
func (n *Notary) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	gun, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, prefix), middle)
	c := &call{w: w, r: r, gun: data.GUN(gun), repository: n.o.Name(r, gun)}
	if err := n.serve(c, rest); err != nil {
		n.fail(c, err)
	}
}

func (n *Notary) serve(c *call, rest string) error {
	const longest = 255
	if _, err := reference.WithName(c.repository); err != nil || len(c.repository) > longest || !strings.Contains(c.repository, "/") {
		return &failure{status: http.StatusBadRequest, code: "INVALID_GUN", message: fmt.Sprintf("%.300q is no name of a repository", c.repository)}
	}
	f, isFile := parseFile(rest)
	switch {
	case rest == "" && c.r.Method == http.MethodPost:
		return n.change(c, registry.Push, "create", n.post)
	case rest == "" && c.r.Method == http.MethodDelete:
		return n.change(c, registry.Delete, "delete", n.remove)
	case isFile && f.key && c.r.Method == http.MethodGet:
		return n.change(c, registry.Push, "", func(c *call) error { return n.giveKey(c, f.role, false) })
	case isFile && f.key && c.r.Method == http.MethodPost:
		return n.change(c, registry.Delete, "update", func(c *call) error { return n.giveKey(c, f.role, true) })
	case isFile && !f.key && (c.r.Method == http.MethodGet || c.r.Method == http.MethodHead):
		if err := n.admit(c, registry.Pull); err != nil {
			return err
		}
		return n.get(c, f)
	case rest == "" || isFile:
		return &failure{status: http.StatusMethodNotAllowed, code: "UNSUPPORTED", message: c.r.Method + " is not for this path"}
	}
	return notThere("there is nothing at this path")
}

// admit says who asks, and whether they may, and finds the project.
func (n *Notary) admit(c *call, action registry.Action) error {
	wanted := registry.Access{Type: "repository", Name: c.repository, Action: action}
	var err error
	if c.who, err = n.o.Auth.Authenticate(c.r); err == nil {
		err = c.who.May(c.r.Context(), wanted)
	}
	switch {
	case errors.Is(err, registry.ErrUnauthenticated):
		all := []registry.Access{wanted}
		if action != registry.Pull {
			all = append(all, registry.Access{Type: "repository", Name: c.repository, Action: registry.Pull})
		}
		c.w.Header().Set("WWW-Authenticate", n.o.Auth.Challenge(c.r, all))
		return &failure{status: http.StatusUnauthorized, code: "UNAUTHORIZED", message: "authentication required"}
	case errors.Is(err, registry.ErrDenied):
		return &failure{status: http.StatusForbidden, code: "DENIED", message: "this needs the right to " + string(action)}
	case errors.Is(err, registry.ErrHidden):
		return notThere("there are no trust data for " + c.repository)
	case err != nil:
		return err
	}
	name, _, _ := strings.Cut(c.repository, "/")
	err = n.o.DB.QueryRow(c.r.Context(), `SELECT id FROM project WHERE name = $1`, name).Scan(&c.project)
	if errors.Is(err, sql.ErrNoRows) {
		return notThere("there is no project " + name)
	}
	return err
}

// change admits one who changes something, and does it, unless nothing may change.
func (n *Notary) change(c *call, action registry.Action, operation string, do func(*call) error) error {
	if err := n.admit(c, action); err != nil {
		return err
	}
	fixed, err := n.o.ReadOnly(c.r.Context())
	if err != nil {
		return err
	}
	if fixed {
		return &failure{status: http.StatusServiceUnavailable, code: "UNAVAILABLE", message: "the hub is read-only at the moment"}
	}
	if err := do(c); err != nil {
		return err
	}
	if operation != "" {
		n.o.Changed(c.r, c.who, c.project, c.repository, operation)
	}
	return nil
}

// get answers with metadata. What is asked for by its sum or version never changes.
func (n *Notary) get(c *call, f file) error {
	content, err := n.read(c.r.Context(), c.repository, f)
	if err == nil && f.sum == "" && f.version == 0 && (f.role == data.CanonicalTimestampRole || f.role == data.CanonicalSnapshotRole) {
		content, err = n.renewed(c.r.Context(), c.repository, f, content)
	}
	if errors.Is(err, errdef.ErrNotFound) {
		return notThere(err.Error())
	}
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(content)))
	h.Set("Cache-Control", "no-store")
	if f.sum != "" || f.version > 0 {
		h.Set("Cache-Control", "private, max-age=2592000")
	}
	if c.r.Method == http.MethodGet {
		_, _ = c.w.Write(content) // the client has gone
	}
	return nil
}

// renewed is what there is of a role that the hub signs, after it was made anew if it ends soon.
func (n *Notary) renewed(ctx context.Context, name string, f file, content []byte) ([]byte, error) {
	timestamp, err := n.read(ctx, name, file{role: data.CanonicalTimestampRole})
	if err != nil || !n.ends(timestamp) {
		return content, err
	}
	if fixed, err := n.o.ReadOnly(ctx); err != nil || fixed {
		return content, err
	}
	if err := n.renew(ctx, name); err != nil {
		if _, theirs := validation.NewSerializableError(err); theirs == nil { // the client has to see that it has ended
			return content, nil
		}
		return nil, err
	}
	return n.read(ctx, name, f)
}

// giveKey answers with the hub's public key for a role.
func (n *Notary) giveKey(c *call, role data.RoleName, fresh bool) error {
	var public []byte
	err := n.o.DB.Tx(c.r.Context(), func(tx *store.Tx) error {
		x, err := n.lock(tx, c.project, c.repository, c.gun, true)
		if err != nil {
			return err
		}
		public, err = n.key(tx, x, role, fresh)
		return err
	})
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/json")
	_, _ = c.w.Write(public) // the client has gone
	return nil
}

func (n *Notary) remove(c *call) error {
	return n.o.DB.Tx(c.r.Context(), func(tx *store.Tx) error {
		_, err := Forget(tx, c.repository)
		return err
	})
}

func (n *Notary) post(c *call) error {
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxUpload)
	var updates []update
	err := access.Within(c.w, access.BodyPatience, func() (err error) {
		updates, err = readUpload(c.r.Header.Get("Content-Type"), c.r.Body)
		return err
	})
	if err != nil {
		return err
	}
	return n.publish(c.r.Context(), c.project, c.repository, c.gun, updates)
}

// readUpload reads a form of files, each with the metadata of the role that its name says. Errors are failures.
func readUpload(contentType string, body io.Reader) (updates []update, err error) {
	bad := func(code, format string, args ...any) error {
		return &failure{status: http.StatusBadRequest, code: code, message: fmt.Sprintf(format, args...)}
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "multipart/form-data" || params["boundary"] == "" {
		return nil, bad("MALFORMED_UPLOAD", "want multipart/form-data")
	}
	form, seen := multipart.NewReader(body, params["boundary"]), map[data.RoleName]bool{}
	for {
		part, err := form.NextRawPart()
		if errors.Is(err, io.EOF) {
			return updates, nil
		}
		if err != nil {
			return nil, bad("MALFORMED_UPLOAD", "the form cannot be read: %v", err)
		}
		role := data.RoleName(strings.TrimSuffix(fileOf(part), ".json"))
		switch {
		case len(role) > maxRoleName || !data.ValidRole(role) || role == data.CanonicalTimestampRole:
			return nil, bad("INVALID_ROLE", "%.100q is no role that clients publish", role)
		case seen[role]:
			return nil, bad("INVALID_ROLE", "%.100q is there twice", role)
		case len(updates) == maxRoles:
			return nil, bad("INVALID_ROLE", "there are more than %d roles", maxRoles)
		}
		content, err := io.ReadAll(io.LimitReader(part, maxRole+1))
		if err != nil {
			return nil, bad("MALFORMED_UPLOAD", "the form cannot be read: %v", err)
		}
		if most := mostBytes(role); len(content) > most {
			return nil, bad("MALFORMED_UPLOAD", "%s has more than %d bytes", role, most)
		}
		version, err := versionOf(content)
		if err != nil {
			return nil, bad("MALFORMED_JSON", "%s: %v", role, err)
		}
		seen[role] = true
		updates = append(updates, update{role, version, content})
	}
}

func mostBytes(role data.RoleName) int {
	if role == data.CanonicalRootRole {
		return maxRoot
	}
	return maxRole
}

// fileOf is the whole name of a form's file: multipart's own method leaves out what is before a slash, and roles have some.
func fileOf(p *multipart.Part) string {
	_, params, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	return params["filename"]
}

// versionOf reads the version of metadata, and refuses more targets than a role may have.
func versionOf(content []byte) (int, error) {
	var m struct {
		Signed struct {
			Version int                        `json:"version"`
			Targets map[string]json.RawMessage `json:"targets"`
		} `json:"signed"`
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return 0, err
	}
	if len(m.Signed.Targets) > maxTargets {
		return 0, fmt.Errorf("it signs more than %d tags", maxTargets)
	}
	const most = 1 << 30
	if m.Signed.Version < 1 || m.Signed.Version > most {
		return 0, fmt.Errorf("%d is no version", m.Signed.Version)
	}
	return m.Signed.Version, nil
}

// fail answers with an error in the registry's form; what the library says of a publication is the detail, for its own clients.
func (n *Notary) fail(c *call, err error) {
	var f *failure
	if !errors.As(err, &f) {
		f = n.failureOf(c, err)
	}
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail,omitempty"`
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(f.status)
	_ = json.NewEncoder(c.w).Encode(map[string][]item{"errors": {{f.code, f.message, f.detail}}}) // the client has gone
}

func (n *Notary) failureOf(c *call, err error) *failure {
	if detail, none := validation.NewSerializableError(err); none == nil {
		return &failure{http.StatusBadRequest, "INVALID_UPDATE", err.Error(), detail}
	}
	switch {
	case errors.Is(err, errOld):
		return &failure{http.StatusBadRequest, "VERSION", err.Error(), nil}
	case errors.Is(err, errdef.ErrInvalid), errors.Is(err, errdef.ErrExhausted):
		detail := &validation.SerializableError{Name: "ErrValidation", Error: validation.ErrValidation{Msg: err.Error()}}
		return &failure{http.StatusBadRequest, "INVALID_UPDATE", err.Error(), detail}
	}
	if c.r.Context().Err() == nil {
		n.o.Log.Error("trust service failed", "repository", c.repository, "err", err)
	}
	return &failure{http.StatusInternalServerError, "UNKNOWN", "internal server error", nil}
}
