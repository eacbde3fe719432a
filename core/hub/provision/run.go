package provision

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/openvic/vic/core/hub/fleet"
	"github.com/openvic/vic/core/hub/jobs"
	"github.com/openvic/vic/core/store"
	"github.com/openvic/vic/sdk/errdef"
)

// Kind is the name of the jobs; the subject is the project.
const Kind = "PROVISION"

// payload is what people see of the job.
type payload struct {
	Provision int64  `json:"provision"`
	Name      string `json:"name"`
	Image     string `json:"image"`
}

// report is how far it is.
type report struct {
	Step string `json:"step"`
	VCH  string `json:"vch,omitempty"`
}

// Times of the steps.
const (
	askTime   = time.Minute
	makeTime  = 10 * time.Minute // a create or a start of a VM
	pullTime  = time.Hour
	jobTime   = 2 * time.Hour
	attempts  = 5
	parallel  = 8
	maxEvents = 1 << 20 // bytes of one message of a pull
)

// Jobs is the kind of jobs that make containers.
func (p *Provisions) Jobs() jobs.Kind {
	return jobs.Kind{Name: Kind, Parallel: parallel, Attempts: attempts, Timeout: jobTime, Keep: 1000, Run: p.run, Ended: p.ended}
}

// ended gives back what a provision held whose job did not succeed.
func (p *Provisions) ended(tx *store.Tx, e jobs.Execution) error {
	if e.Status == jobs.Success {
		return nil
	}
	x, err := scan(tx.Lock(selectProvision+` WHERE execution = $1 AND status = 'pending' ORDER BY id LIMIT 1`, e.ID).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	x.Status, x.Message = Failed, e.Message
	if err := p.set(tx, &x); err != nil {
		return err
	}
	return release(tx, x.Project, x.Size)
}

func (p *Provisions) run(ctx context.Context, j *jobs.Job) error {
	var q payload
	if err := j.Decode(&q); err != nil {
		return jobs.Permanent(err)
	}
	x, err := scan(p.o.DB.QueryRow(ctx, selectProvision+` WHERE id = $1`, q.Provision).Scan)
	if errors.Is(err, sql.ErrNoRows) || err == nil && x.Status != Pending {
		return nil // its project was deleted, or another attempt has done it
	}
	if err != nil {
		return err
	}
	body, err := p.o.Sealer.Open(sealedName(x.ID), x.sealed)
	if err != nil {
		return jobs.Permanent(err)
	}
	state, err := p.o.Fleet.VCH(x.VCH)
	if errors.Is(err, errdef.ErrNotFound) && !j.Last() {
		return fmt.Errorf("the hub does not know the VCH: %w", err) // it has just begun, or the VCH is gone
	}
	if err != nil {
		return err
	}
	conn, err := p.o.Fleet.Conn(x.VCH)
	if err != nil {
		return err
	}
	m := &maker{p: p, j: j, x: x, conn: conn, vch: state.Name, body: body}
	id, err := m.make(ctx)
	if err != nil {
		return m.why(err)
	}
	return j.Commit(ctx, func(tx *store.Tx) error {
		x.Status, x.Container, x.Message = Done, id, ""
		return p.set(tx, &x)
	})
}

// maker makes one container.
type maker struct {
	p    *Provisions
	j    *jobs.Job
	x    Provision
	conn *fleet.Conn
	vch  string
	body []byte
}

// step tells how far it is.
func (m *maker) step(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	m.j.Logf("%s", text)
	m.j.Tell(report{text, m.vch})
}

// why says whether another attempt may help: a VCH that refuses does so again.
func (m *maker) why(err error) error {
	var r *fleet.Refused
	if errors.As(err, &r) && r.Status < http.StatusInternalServerError {
		return jobs.Permanent(fmt.Errorf("the VCH %s says: %w", m.vch, err))
	}
	return err
}

func (m *maker) call(ctx context.Context, limit time.Duration, method, path string, body, into any) error {
	return m.conn.Call(ctx, limit, method, path, body, into)
}

// make returns the container's ID; what a failed attempt has made is removed, unless the hub itself ends: then the next attempt
// goes on with it.
func (m *maker) make(ctx context.Context) (string, error) {
	id, running, err := m.find(ctx)
	if err != nil {
		return "", err
	}
	if id == "" {
		if id, err = m.create(ctx); err != nil {
			return "", err
		}
	}
	if !m.x.Start || running {
		return id, nil
	}
	m.step("the container starts")
	err = m.call(ctx, makeTime, http.MethodPost, "/containers/"+id+"/start", nil, nil)
	if err == nil {
		return id, nil
	}
	var r *fleet.Refused
	if errors.Is(context.Cause(ctx), jobs.ErrStopped) || errors.As(err, &r) {
		m.j.Logf("it is removed: %v", err)
		if rerr := m.call(context.WithoutCancel(ctx), askTime, http.MethodDelete, "/containers/"+id+"?force=1&v=1", nil, nil); rerr != nil {
			m.j.Logf("it cannot be removed: %v", rerr)
		}
	}
	return "", err
}

// find is the container of an earlier attempt; "": there is none.
func (m *maker) find(ctx context.Context) (id string, running bool, err error) {
	var there struct {
		ID     string
		State  struct{ Running bool }
		Config struct{ Labels map[string]string }
	}
	err = m.call(ctx, askTime, http.MethodGet, "/containers/"+m.x.Name+"/json", nil, &there)
	var r *fleet.Refused
	if errors.As(err, &r) && r.Status == http.StatusNotFound {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if there.Config.Labels[LabelProvision] != strconv.FormatInt(m.x.ID, 10) {
		return "", false, jobs.Permanent(fmt.Errorf("a container named %s is there already: give another name: %w", m.x.Name, errdef.ErrConflict))
	}
	if !containerName.MatchString(there.ID) {
		return "", false, jobs.Permanent(fmt.Errorf("the VCH %s names a container whose ID is none: %w", m.vch, errdef.ErrUnavailable))
	}
	return there.ID, there.State.Running, nil
}

// create makes the container, and pulls its image first if it is not there.
func (m *maker) create(ctx context.Context) (string, error) {
	var made struct{ ID string }
	ask := func() error {
		m.step("the container is made")
		return m.call(ctx, makeTime, http.MethodPost, "/containers/create?name="+url.QueryEscape(m.x.Name), json.RawMessage(m.body), &made)
	}
	err := ask()
	var r *fleet.Refused
	if errors.As(err, &r) && r.Status == http.StatusNotFound && strings.Contains(strings.ToLower(r.Message), "no such image") {
		if err := m.pull(ctx); err != nil {
			return "", err
		}
		err = ask()
	}
	if err == nil && !containerName.MatchString(made.ID) {
		err = fmt.Errorf("the VCH %s answers what cannot be read: %w", m.vch, errdef.ErrUnavailable)
	}
	return made.ID, err
}

// pull has the VCH pull the image, with the rights of who asked for it.
func (m *maker) pull(ctx context.Context) error {
	ref, err := reference.ParseDockerRef(m.x.Image)
	if err != nil {
		return jobs.Permanent(fmt.Errorf("image %q: %w", m.x.Image, err))
	}
	q := url.Values{"fromImage": {ref.Name()}}
	switch r := ref.(type) {
	case reference.Digested:
		q.Set("tag", r.Digest().String())
	case reference.Tagged:
		q.Set("tag", r.Tag())
	}
	raw, err := m.p.o.Token(ctx, m.x.Principal, m.x.Image)
	if err != nil {
		return err
	}
	m.step("the image %s is pulled", m.x.Image)
	ctx, cancel := context.WithTimeout(ctx, pullTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.conn.URL("/images/create?"+q.Encode()), nil)
	if err != nil {
		return err
	}
	if raw != "" {
		text, err := json.Marshal(map[string]string{"registrytoken": raw, "serveraddress": reference.Domain(ref)})
		if err != nil {
			return err
		}
		req.Header.Set("X-Registry-Auth", base64.URLEncoding.EncodeToString(text))
	}
	res, err := m.conn.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fleet.Refusal(res)
	}
	return m.progress(bufio.NewScanner(res.Body))
}

// layer is how much of one is there.
type layer struct{ done, total int64 }

// progress reads what a pull tells, until it ends.
func (m *maker) progress(lines *bufio.Scanner) error {
	lines.Buffer(nil, maxEvents)
	layers := map[string]layer{}
	for lines.Scan() {
		var e struct {
			ID             string
			Status         string
			Error          string
			ProgressDetail struct{ Current, Total int64 }
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("what the VCH tells of the pull cannot be read: %w: %w", errdef.ErrUnavailable, err)
		}
		if e.Error != "" {
			return &fleet.Refused{Status: http.StatusBadRequest, Message: e.Error[:min(len(e.Error), 1000)]}
		}
		const most = 1000 // layers
		if e.ProgressDetail.Total > 0 && e.Status == "Downloading" && (len(layers) < most || layers[e.ID].total > 0) {
			layers[e.ID] = layer{e.ProgressDetail.Current, e.ProgressDetail.Total}
			var all layer
			for _, l := range layers {
				all.done, all.total = all.done+l.done, all.total+l.total
			}
			m.j.Progress(all.done, all.total)
		}
	}
	return lines.Err()
}
