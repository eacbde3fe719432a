package vch

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/hub"
	"github.com/openvic/vic/sdk/errdef"
)

// HubSpec is the hub whose projects' resource a new VCH becomes.
type HubSpec struct {
	Client   *hub.Client
	Projects []string
}

// HubRecord says which hub knows the VCH, and as what.
type HubRecord struct {
	URL      string   `json:"url"`
	ID       int64    `json:"id"` // the hub's number of the VCH
	Projects []string `json:"projects"`
}

// Limit returns the registries that users of the VCH may use, empty for all: what --allow-registry names, or the hub alone
// where a project demands that. errdef.ErrConflict if both is asked for.
func (h *HubSpec) Limit(allow []string, hubOnly bool) ([]string, error) {
	only := h.Client.Registry()
	for _, a := range allow {
		if hubOnly && a != only {
			return nil, advice.Wrap(fmt.Errorf("a project of the hub demands that its VCHs take images of the hub alone, and --allow-registry names %s: %w",
				a, errdef.ErrConflict), "leave out --allow-registry, or give --allow-registry %s", only)
		}
	}
	if hubOnly {
		return []string{only}, nil
	}
	return allow, nil
}

func (c *creator) registration() hub.Registration {
	return hub.Registration{UID: c.Record.ID, Name: c.Spec.Name, Projects: c.Spec.Hub.Projects}
}

// registerAtHub makes the VCH known to the hub before there is anything of it, so that every VCH that has the hub's number
// in its record is one that the hub knows.
func (c *creator) registerAtHub(ctx context.Context) error {
	if c.Spec.Hub == nil {
		return nil
	}
	r, err := c.Spec.Hub.Client.Register(ctx, c.registration())
	if err != nil {
		return err
	}
	allow, err := c.Spec.Hub.Limit(c.Spec.AllowRegistries, r.HubOnly)
	if err != nil { // the project has changed since the checks
		return errors.Join(err, c.Spec.Hub.Client.Remove(ctx, r.ID))
	}
	c.Spec.AllowRegistries, c.Record.Settings.AllowRegistries = allow, allow
	c.Record.Hub = &HubRecord{URL: c.Spec.Hub.Client.URL(), ID: r.ID, Projects: c.Spec.Hub.Projects}
	c.hubRequest = []byte(r.Request)
	c.log.Printf("the hub %s knows the VCH: number %d, projects %s", c.Record.Hub.URL, r.ID, strings.Join(c.Spec.Hub.Projects, ", "))
	if r.HubOnly {
		c.log.Printf("users of the VCH may use images of the hub alone, as a project demands")
	}
	return nil
}

// connectHub tells the hub where the VCH serves, and gives it a certificate of its own there.
func (c *creator) connectHub(ctx context.Context) error {
	if c.Spec.Hub == nil {
		return nil
	}
	x := hub.Connection{Address: netip.AddrPortFrom(c.ready.Address, uint16(c.ready.Port)).String(), ServerCA: string(c.Certs.CA.Cert)}
	if c.Certs.SuppliedServer {
		x.ServerCA = string(c.Certs.Server.Cert)
	}
	var err error
	if x.ServerName, err = certs.ServerName(c.Certs.Server.Cert); err != nil {
		return err
	}
	if !c.Spec.NoVerify {
		cert, err := certs.SignRequest(c.Certs.CA, c.hubRequest, time.Now())
		if err != nil {
			return err
		}
		x.Certificate = string(cert)
	}
	if err := c.Spec.Hub.Client.Connect(ctx, c.Record.Hub.ID, x); err != nil {
		return err
	}
	c.log.Printf("the hub has a certificate of its own for the Docker API")
	return nil
}

// forgetAtHub undoes registerAtHub after a failure.
func (c *creator) forgetAtHub(ctx context.Context) error {
	if c.Record.Hub == nil {
		return nil
	}
	if err := c.Spec.Hub.Client.Remove(ctx, c.Record.Hub.ID); err != nil {
		return fmt.Errorf("the hub still lists the VCH under number %d: %w", c.Record.Hub.ID, err)
	}
	return nil
}

// leaveHub makes the hub forget a VCH that is to be deleted, before anything of it goes: what is wrong with the access to the hub
// stops the deletion in time, unless Force is given.
func (f *found) leaveHub(ctx context.Context, o DeleteOptions, r *remover) error {
	if f.record == nil || f.record.Hub == nil {
		return nil
	}
	at := f.record.Hub
	var err error
	switch {
	case o.Hub == nil:
		err = advice.Wrap(fmt.Errorf("the hub %s lists the VCH under number %d, and needs a token to forget it: %w", at.URL, at.ID, errdef.ErrConflict),
			"add --hub %s --hub-token NAME:SECRET and, as at create, --hub-ca, or leave the entry in the hub with --force", at.URL)
	case o.Hub.URL() != at.URL: // the record says where, but a token goes only where its owner says
		err = advice.Wrap(fmt.Errorf("the VCH belongs to the hub %s, not to %s: %w", at.URL, o.Hub.URL(), errdef.ErrInvalid),
			"give --hub %s, or leave the entry in the hub with --force", at.URL)
	default:
		err = o.Hub.Remove(ctx, at.ID)
	}
	if err == nil {
		r.log.Printf("the hub %s has forgotten the VCH", at.URL)
		return nil
	}
	if !o.Force || errors.Is(err, context.Cause(ctx)) {
		return err
	}
	r.log.Printf("left in the hub %s, because of --force: number %s: %v", at.URL, strconv.FormatInt(at.ID, 10), err)
	return nil
}
