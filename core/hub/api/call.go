package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openvic/vic/core/access"
	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/query"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/sdk/errdef"
)

// call is one request.
type call struct {
	detail string // of the line in the audit log: what was changed
	w      http.ResponseWriter
	r      *http.Request
	who    authz.Subject
	// method is how they have shown who they are; session is the ID of their session, if they came with one; secret says
	// that they came with a CLI secret.
	method  access.Method
	session string
	secret  bool
	// project is the one that the path names; its ID is 0 if there is none of that name.
	project registry.Project
	// needs is the permission that let them in; 0: none was needed.
	needs role.Permission
}

// readable refuses a path or query with what no database keeps as text: PostgreSQL says so, and SQLite finds what nobody
// meant.
func (c *call) readable() error {
	ok := func(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
	query, err := url.QueryUnescape(c.r.URL.RawQuery)
	if err != nil || !ok(query) || !ok(c.r.URL.Path) {
		return badRequest("%s", notText)
	}
	return nil
}

// findProject finds the project of the path, by its name or, unless X-Is-Resource-Name says that it is a name, by its
// number, as Harbor does. It returns the name to ask the table about; no error tells whether there is one.
func (a *api) findProject(c *call) (string, error) {
	given := c.r.PathValue("project")
	var err error
	if n, nerr := strconv.ParseInt(given, 10, 64); nerr == nil && c.r.Header.Get("X-Is-Resource-Name") != "true" {
		c.project, err = a.Registry.ProjectByID(c.r.Context(), a.DB, n)
	} else {
		c.project, err = a.Registry.FindProject(c.r.Context(), a.DB, given)
	}
	if errors.Is(err, errdef.ErrNotFound) {
		c.project = registry.Project{}
		return given, nil
	}
	return c.project.Name, err
}

// body reads the JSON object of a request. An unknown field is no error: Harbor's clients send fields of other versions.
func (c *call) body(v any) error {
	var b []byte
	err := access.Within(c.w, access.BodyPatience, func() (err error) {
		b, err = io.ReadAll(c.r.Body)
		return err
	})
	var over *http.MaxBytesError
	if errors.As(err, &over) {
		return &Error{Status: http.StatusRequestEntityTooLarge, Code: "REQUEST_ENTITY_TOO_LARGE", Message: "the body is larger than 1 MiB"}
	}
	if err != nil {
		return badRequest("the body did not come whole within %s", access.BodyPatience)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return badRequest("the body cannot be read: %v", err)
	}
	return nil
}

// answer writes JSON.
func (c *call) answer(status int, v any) error {
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	c.w.WriteHeader(status)
	_ = json.NewEncoder(c.w).Encode(v) // the client has gone
	return nil
}

// empty answers without a body.
func (c *call) empty(status int) error {
	c.w.WriteHeader(status)
	return nil
}

// created answers 201 with the address of what was made.
func (c *call) created(format string, args ...any) error {
	c.w.Header().Set("Location", Prefix+fmt.Sprintf(format, args...))
	return c.empty(http.StatusCreated)
}

// number reads a number of the path.
func (c *call) number(name string) (int64, error) {
	n, err := strconv.ParseInt(c.r.PathValue(name), 10, 64)
	if err != nil || n < 1 {
		return 0, badRequest("%s: %q is no number", name, c.r.PathValue(name))
	}
	return n, nil
}

// page is which part of a list a client wants, in Harbor's way.
type page struct{ number, size int }

// Bounds of lists. Pages are counted from 1; a page far behind costs the server what the pages before it hold, so there
// is an end.
const (
	defaultPage = 10
	maxPage     = 100
	maxOffset   = 100_000
)

func (c *call) page() (page, error) {
	p := page{1, defaultPage}
	for name, v := range map[string]struct {
		to   *int
		most int
	}{"page": {&p.number, math.MaxInt32}, "page_size": {&p.size, maxPage}} {
		s := c.r.URL.Query().Get(name)
		if s == "" {
			continue
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > v.most {
			return p, badRequest("%s: want a number from 1 to %d", name, v.most)
		}
		*v.to = n
	}
	if p.offset() > maxOffset {
		return p, badRequest("page: narrow the list down by q instead of reading beyond entry %d", maxOffset)
	}
	return p, nil
}

func (p page) offset() int { return (p.number - 1) * p.size }

// list answers with a page, the number of all, and links to the pages around it.
func (c *call) list(p page, total int, v any) error {
	c.w.Header().Set("X-Total-Count", strconv.Itoa(total))
	var links []string
	link := func(n int, rel string) {
		q := url.Values{}
		for k, v := range c.r.URL.Query() {
			q[k] = v
		}
		q.Set("page", strconv.Itoa(n))
		q.Set("page_size", strconv.Itoa(p.size))
		links = append(links, fmt.Sprintf(`<%s?%s>; rel="%s"`, c.r.URL.EscapedPath(), q.Encode(), rel))
	}
	if p.number > 1 {
		link(p.number-1, "prev")
	}
	if p.offset()+p.size < total {
		link(p.number+1, "next")
	}
	if len(links) > 0 {
		c.w.Header().Set("Link", strings.Join(links, " , "))
	}
	return c.answer(http.StatusOK, v)
}

// query reads the parameter q, "name=~app,public=true", as far as a list knows the keys, each with one value or a range. It
// returns the values without the "~", which means a part of the text.
func (c *call) query(keys ...string) (map[string]string, error) {
	filters, err := query.Parse(c.r.URL.Query().Get("q"))
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, f := range filters {
		switch {
		case !slices.Contains(keys, f.Key):
			return nil, badRequest("q: %.40q is not one of %s", f.Key, strings.Join(keys, ", "))
		case f.Kind == query.Range:
			out[f.Key] = "[" + f.Values[0] + "~" + f.Values[1] + "]"
		case len(f.Values) > 1:
			return nil, badRequest("q: %.40q: want one value", f.Key)
		default:
			out[f.Key] = f.Values[0]
		}
	}
	return out, nil
}

// selection is what a client wants to see of a list.
type selection struct {
	page
	condition, order string
	args             []any
}

// selection reads q, sort and the page of a list. base are parameters that the statement has already; last is the order
// of rows that are equal in what the client sorts by.
func (c *call) selection(cols query.Columns, last string, base ...any) (s selection, err error) {
	if s.page, err = c.page(); err != nil {
		return s, err
	}
	filters, err := query.Parse(c.r.URL.Query().Get("q"))
	if err != nil {
		return s, err
	}
	sorts, err := query.ParseSort(c.r.URL.Query().Get("sort"))
	if err != nil {
		return s, err
	}
	if s.condition, s.args, err = cols.Where(filters, base); err != nil {
		return s, err
	}
	s.order, err = cols.Order(sorts, last)
	return s, err
}

// also adds a condition with one parameter, for which it has "%s".
func (s *selection) also(condition string, arg any) {
	s.args = append(s.args, arg)
	s.condition += " AND " + fmt.Sprintf(condition, "$"+strconv.Itoa(len(s.args)))
}

// pathName is the name of a repository as one part of a path.
func pathName(name string) string { return url.PathEscape(name) }

// wants reads a parameter that is true or false.
func (c *call) wants(name string, otherwise bool) (bool, error) {
	s := c.r.URL.Query().Get(name)
	if s == "" {
		return otherwise, nil
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, badRequest("%s: want true or false", name)
	}
	return b, nil
}
