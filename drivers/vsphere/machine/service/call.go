package service

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/session"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
	"github.com/openvic/vic/sdk/errdef"
)

// call is one request.
type call struct {
	*Service
	w     http.ResponseWriter
	r     *http.Request
	route route

	sess    *session.Session
	handed  bool // the session now belongs to a task
	values  option.Values
	files   certs.Files
	timeout time.Duration
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errdef.ErrInvalid)
}

// run checks the request, logs in if the route needs it, and does what it asks for.
func (c *call) run() (*reply, error) {
	if err := c.checkQuery(); err != nil {
		return nil, err
	}
	if c.route.free != nil {
		return c.route.free(c)
	}
	t, err := c.target()
	if err != nil {
		return nil, err
	}
	if err := c.readBody(); err != nil {
		return nil, err
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	default:
		return nil, problemError{Problem{Type: "busy", Status: http.StatusServiceUnavailable, Detail: "too many requests are being answered", RetryAfter: 5}}
	}
	ctx, cancel := operation.WithTimeout(c.r.Context(), c.timeout)
	defer cancel()
	if c.sess, err = c.connect(ctx, c.r, t); err != nil {
		return nil, operation.EndOf(ctx, err)
	}
	defer func() {
		if !c.handed {
			c.sess.Close(ctx)
		}
	}()
	res, err := c.route.do(c, ctx)
	return res, operation.EndOf(ctx, err)
}

// checkQuery refuses what the route does not know: it would be ignored.
func (c *call) checkQuery() error {
	c.timeout = c.route.patience
	for name, values := range c.r.URL.Query() {
		i := slices.IndexFunc(c.route.allQuery(), func(p param) bool { return p.name == name })
		if i < 0 {
			return advice.Wrap(invalid("%s: no such parameter", name), "see /openapi.json")
		}
		if len(values) != 1 {
			return invalid("%s: more than one value", name)
		}
		switch p := c.route.allQuery()[i]; p.kind {
		case option.Toggle:
			if _, err := strconv.ParseBool(values[0]); err != nil && values[0] != "" {
				return invalid("%s: %q is not true or false", name, values[0])
			}
		case option.Duration:
			d, err := time.ParseDuration(values[0])
			if err != nil || d <= 0 || d > maxTimeout {
				return invalid("%s: %q is not a time span such as 3m, of at most %s", name, values[0], maxTimeout)
			}
			c.timeout = d
		default:
			if len(p.oneOf) > 0 && !slices.Contains(p.oneOf, values[0]) {
				return invalid("%s: %q is none of %v", name, values[0], p.oneOf)
			}
		}
	}
	return nil
}

// maxTimeout bounds what a request may ask for.
const maxTimeout = time.Hour

// flag reads a parameter that is there or not: "?force", "?force=true".
func (c *call) flag(name string) bool {
	q := c.r.URL.Query()
	v := q.Get(name)
	b, err := strconv.ParseBool(v)
	return q.Has(name) && (v == "" || err == nil && b)
}

// vch says which one the path names.
func (c *call) vch() vch.Query { return vch.Query{ID: c.r.PathValue("vch")} }

func (c *call) local() operation.Local {
	return operation.Local{Version: c.cfg.Version, Files: c.files}
}

func ok(body any, err error) (*reply, error) {
	if err != nil {
		return nil, err
	}
	return &reply{status: http.StatusOK, body: body}, nil
}

// withImages adds the images of this service to the options.
func (c *call) withImages(options []option.Option) option.Values {
	all := option.Of(options, c.values.Given())
	if c.cfg.ApplianceISO != "" {
		all.Set("appliance-iso", c.cfg.ApplianceISO)
	}
	if c.cfg.BootstrapISO != "" {
		all.Set("bootstrap-iso", c.cfg.BootstrapISO)
	}
	return all
}

// doing is what a route does with a session.
type doing func(*call, context.Context) (*reply, error)
