package service

import (
	"context"
	"maps"

	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/progress"
)

// Files are files that were made, as the command line writes them into --cert-path or --out.
type Files struct {
	CertPath map[string]string `json:"cert-path"`
}

func (c *call) certificates(ctx context.Context) (*reply, error) {
	return ok(operation.ShowCertificates(ctx, c.sess, c.vch()))
}

// made are the files that were not there before.
func (c *call) made(before map[string][]byte) Files {
	out := Files{map[string]string{}}
	for name, b := range c.files {
		if had, ok := before[name]; !ok || string(had) != string(b) {
			out.CertPath[name] = string(b)
		}
	}
	return out
}

func (c *call) renew(ctx context.Context) (*reply, error) {
	if _, err := operation.ShowCertificates(ctx, c.sess, c.vch()); err != nil {
		return nil, err
	}
	values, before := option.Of(operation.RenewOptions(), c.values.Given()), maps.Clone(c.files)
	return c.begin(c.vch().ID, func(ctx context.Context, log *progress.Log) (any, error) {
		if err := operation.Renew(ctx, c.sess, c.vch(), values, c.local(), log); err != nil {
			return nil, err
		}
		return c.made(before), nil
	})
}

func (c *call) addClient(ctx context.Context) (*reply, error) {
	before := maps.Clone(c.files)
	err := operation.AddClient(ctx, c.sess, c.vch(), option.Of(operation.AddClientOptions(), c.values.Given()), c.local(), nil)
	return ok(c.made(before), err)
}

func (c *call) revoke(ctx context.Context) (*reply, error) {
	if _, err := operation.ShowCertificates(ctx, c.sess, c.vch()); err != nil {
		return nil, err
	}
	values := option.Of(operation.RevokeOptions(), c.values.Given())
	return c.begin(c.vch().ID, func(ctx context.Context, log *progress.Log) (any, error) {
		if err := operation.Revoke(ctx, c.sess, c.vch(), values, c.local(), log); err != nil {
			return nil, err
		}
		return operation.ShowCertificates(ctx, c.sess, c.vch())
	})
}
