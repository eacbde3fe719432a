package cli

import (
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/openvic/vic/core/hub/client"
	"github.com/openvic/vic/sdk/errdef"
)

func (a *app) trustCommand() *cli.Command {
	revoke := func(name, usage, done string, revoked bool) *cli.Command {
		return &cli.Command{Name: name, Usage: usage, ArgsUsage: "PROJECT NAME", Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, id, err := findKey(c, h)
			if err != nil {
				return err
			}
			return a.did(h.RevokeTrustKey(c.Context, v[0], id, revoked), done, v[1], v[0])
		})}
	}
	keys := []*cli.Command{
		{Name: "ls", Usage: "list whose signatures a project trusts", ArgsUsage: "PROJECT", Flags: output(),
			Action: a.with(func(c *cli.Context, h *client.Client) error {
				v, err := args(c, "PROJECT")
				if err != nil {
					return err
				}
				return show(a, c, h.TrustKeys(c.Context, v[0]), "NAME KIND SIGNERS REVOKED FINGERPRINT ADDED BY", func(k client.TrustKey) []any {
					return []any{k.Name, k.Kind, strings.Join(k.Signers, " "), k.Revoked, k.Fingerprint, k.Added, k.By}
				})
			})},
		{Name: "add", Usage: "trust a public key, or an authority's certificates, or take its list of revoked ones", ArgsUsage: "PROJECT NAME FILE",
			Flags: []cli.Flag{&cli.StringFlag{Name: "kind", Usage: "cosign-key, cosign-root, notation-root or crl", Value: "cosign-key"},
				&cli.StringSliceFlag{Name: "signer", Usage: "of a root: a name in the certificates that may sign; several times; * is any"}},
			Action: a.with(a.addKey)},
		revoke("revoke", "let signatures by a key or root not count any more, and say so", "%s is revoked in %s", true),
		revoke("restore", "trust a key or root again", "%s is trusted again in %s", false),
		{Name: "rm", Usage: "remove one", ArgsUsage: "PROJECT NAME", Action: a.with(func(c *cli.Context, h *client.Client) error {
			v, id, err := findKey(c, h)
			if err != nil {
				return err
			}
			return a.did(h.DeleteTrustKey(c.Context, v[0], id), "%s is removed from %s", v[1], v[0])
		})},
	}
	return &cli.Command{Name: "trust", Usage: "signatures", Subcommands: []*cli.Command{
		{Name: "keys", Usage: "whose signatures a project trusts", Subcommands: keys},
		{Name: "show", Usage: "verify the signatures of an image, and show who made them", ArgsUsage: "PROJECT/NAME:TAG|@DIGEST", Flags: output(),
			Action: a.with(a.showSignatures)},
		{Name: "require", Usage: "refuse pulls without a signature that is verified: cosign, notation, notary (docker trust sign, or notation); none: none of them",
			ArgsUsage: "PROJECT WHAT...", Action: a.with(a.require)},
	}}
}

// findKey finds the key that a command names.
func findKey(c *cli.Context, h *client.Client) (v []string, id int64, err error) {
	if v, err = args(c, "PROJECT", "NAME"); err != nil {
		return nil, 0, err
	}
	for k, err := range h.TrustKeys(c.Context, v[0]) {
		if err != nil {
			return nil, 0, err
		}
		if k.Name == v[1] {
			return v, k.ID, nil
		}
	}
	return nil, 0, fmt.Errorf("project %[1]s has no key %[2]q; vic hub trust keys ls %[1]s lists them: %[3]w", v[0], v[1], errdef.ErrNotFound)
}

func (a *app) addKey(c *cli.Context, h *client.Client) error {
	v, err := args(c, "PROJECT", "NAME", "FILE")
	if err != nil {
		return err
	}
	const most = 64 << 10
	f, err := os.Open(v[2])
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return err
	}
	if len(text) > most {
		return fmt.Errorf("%s has more than %d bytes: %w", v[2], most, errdef.ErrInvalid)
	}
	if strings.Contains(string(text), "PRIVATE KEY") {
		return fmt.Errorf("%s is a private key, and stays here: give the public one (cosign.pub): %w", v[2], errdef.ErrInvalid)
	}
	k := client.TrustKeyRequest{Name: v[1], Kind: c.String("kind"), PEM: string(text), Signers: c.StringSlice("signer")}
	return a.did(h.AddTrustKey(c.Context, v[0], k), "%s is trusted in %s", v[1], v[0])
}

func (a *app) showSignatures(c *cli.Context, h *client.Client) error {
	v, err := args(c, "PROJECT/NAME:TAG|@DIGEST")
	if err != nil {
		return err
	}
	project, name, ref, err := splitReference(v[0])
	if err != nil {
		return err
	}
	list, err := h.Signatures(c.Context, project, name, ref)
	if err != nil {
		return err
	}
	return show(a, c, each(list), "FORMAT STATE SIGNER KEY SIGNED WHY", func(s client.Signature) []any {
		return []any{s.Format, s.State, s.Signer, s.Key, s.Signed, s.Why}
	})
}

// each goes through a list as those that come in pages.
func each[T any](list []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, x := range list {
			if !yield(x, nil) {
				return
			}
		}
	}
}

// demands are what require may ask for, and the project's metadata.
var demands = [][2]string{{"cosign", "enable_content_trust_cosign"}, {"notation", "enable_content_trust_notation"}, {"notary", "enable_content_trust"}}

func (a *app) require(c *cli.Context, h *client.Client) error {
	all := c.Args().Slice()
	if len(all) < 2 {
		return fmt.Errorf("%s wants PROJECT and cosign, notation, notary or none: %w", c.Command.HelpName, errdef.ErrInvalid)
	}
	project, what := all[0], all[1:]
	for _, w := range what {
		known := slices.ContainsFunc(demands, func(d [2]string) bool { return d[0] == w })
		if !known && (w != "none" || len(what) > 1) {
			return fmt.Errorf("%q is none of cosign, notation, notary; none stands alone: %w", w, errdef.ErrInvalid)
		}
	}
	for _, d := range demands {
		if err := h.SetMetadata(c.Context, project, d[1], fmt.Sprint(slices.Contains(what, d[0]))); err != nil {
			return err
		}
	}
	return a.did(nil, "pulls from %s need a signature of: %s", project, strings.Join(what, ", "))
}
