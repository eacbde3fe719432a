package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openvic/vic/plugins/scan-osv/vuln"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/scan"
)

// Import replaces the data of one ecosystem.
func (d *driver) Import(ctx context.Context, req scan.ImportRequest) (scan.Database, error) {
	if req.Format != scan.FormatOSV {
		return scan.Database{}, fmt.Errorf("format %q: this plugin reads %q: %w", req.Format, scan.FormatOSV, errdef.ErrUnsupported)
	}
	release, err := d.db.Alone()
	if err != nil {
		return scan.Database{}, err
	}
	defer release()
	if _, err := d.db.Import(ctx, vuln.Source{Ecosystem: req.Ecosystem, SHA256: req.SHA256, Data: req.Verified()}); err != nil {
		return scan.Database{}, err
	}
	return d.Database(ctx)
}

// Update fetches from the mirror what it has newer.
func (d *driver) Update(ctx context.Context, progress func(scan.Progress) error) (scan.Database, error) {
	if d.config.Mirror == "" || len(d.config.Ecosystems) == 0 {
		return scan.Database{}, fmt.Errorf("the configuration names no mirror, or no ecosystems: %w", errdef.ErrUnsupported)
	}
	release, err := d.db.Alone()
	if err != nil {
		return scan.Database{}, err
	}
	defer release()
	for i, e := range d.config.Ecosystems {
		if progress != nil {
			if err := progress(scan.Progress{Step: "fetch " + e, Percent: 100 * i / len(d.config.Ecosystems)}); err != nil {
				return scan.Database{}, err
			}
		}
		if err := d.fetch(ctx, e); err != nil {
			if ctx.Err() == nil {
				d.fail(fmt.Sprintf("the update of %s failed at %s: %v", e, time.Now().UTC().Format(time.RFC3339), err))
			}
			return scan.Database{}, err
		}
	}
	d.fail("")
	return d.Database(ctx)
}

func (d *driver) fail(why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = strings.ToValidUTF8(why[:min(len(why), scan.MaxWarning/2)], "")
}

// fetch brings the data of an ecosystem up to date.
func (d *driver) fetch(ctx context.Context, ecosystem string) error {
	have, err := d.db.ETag(ctx, ecosystem)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(d.config.Mirror, "/")+"/"+url.PathEscape(ecosystem)+"/all.zip", nil)
	if err != nil {
		return fmt.Errorf("mirror: %v: %w", err, errdef.ErrInvalid) //nolint:errorlint // one class
	}
	if have != "" {
		req.Header.Set("If-None-Match", have)
	}
	res, err := d.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("the mirror does not answer: %w: %w", err, errdef.ErrUnavailable)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusNotModified:
		return d.db.Confirm(ctx, ecosystem, have)
	case http.StatusOK:
	default:
		return fmt.Errorf("the mirror answers %s for %s: %w", res.Status, ecosystem, errdef.ErrUnavailable)
	}
	etag := res.Header.Get("ETag")
	if len(etag) > scan.MaxID {
		etag = ""
	}
	return d.take(ctx, vuln.Source{Ecosystem: ecosystem, ETag: etag}, res.Body)
}

// take imports what the mirror sends. It is kept in a file until its hash is known.
func (d *driver) take(ctx context.Context, s vuln.Source, body io.Reader) error {
	f, err := os.CreateTemp(filepath.Join(d.config.Data, "tmp"), "mirror-")
	if err != nil {
		return fmt.Errorf("%w: %w", err, errdef.ErrUnavailable)
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return fmt.Errorf("%w: %w", err, errdef.ErrUnavailable)
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, sum), io.LimitReader(body, scan.MaxImport+1))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("the mirror breaks off: %w: %w", err, errdef.ErrUnavailable)
	case n > scan.MaxImport:
		return fmt.Errorf("the mirror sends more than %d bytes: %w", int64(scan.MaxImport), errdef.ErrUnavailable)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("%w: %w", err, errdef.ErrUnavailable)
	}
	s.SHA256, s.Data = hex.EncodeToString(sum.Sum(nil)), f
	_, err = d.db.Import(ctx, s)
	return err
}
