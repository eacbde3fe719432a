package scan

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/openvic/vic/sdk/errdef"
)

// fakeRecord is what the fake reads of a record of osv.dev: versions are exact, not ranges.
type fakeRecord struct {
	ID       string
	Versions []string
	Severity Severity
}

// FakeData makes data in FormatOSV: one record that says that versions of a package have a weakness.
func FakeData(id, ecosystem, pkg string, severity Severity, versions ...string) []byte {
	record, _ := json.Marshal(map[string]any{ // strings alone: it cannot fail
		"id":                id,
		"database_specific": map[string]int{"severity": int(severity)},
		"affected": []any{map[string]any{
			"package": map[string]string{"ecosystem": ecosystem, "name": pkg}, "versions": versions,
		}},
	})
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	f, _ := w.Create(id + ".json")
	_, _ = f.Write(record)
	_ = w.Close() // into memory
	return out.Bytes()
}

// fakeParse reads data in FormatOSV.
func fakeParse(data []byte) (map[string][]fakeRecord, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("data: %v: %w", err, errdef.ErrInvalid) //nolint:errorlint // one class
	}
	records := map[string][]fakeRecord{}
	for _, file := range z.File {
		var r struct {
			ID       string
			Specific struct{ Severity Severity } `json:"database_specific"`
			Affected []struct {
				Package  struct{ Name string }
				Versions []string
			}
		}
		in, err := file.Open()
		if err == nil {
			err = json.NewDecoder(in).Decode(&r)
		}
		if err != nil {
			return nil, fmt.Errorf("data: %s: %v: %w", file.Name, err, errdef.ErrInvalid) //nolint:errorlint // one class
		}
		for _, a := range r.Affected {
			records[a.Package.Name] = append(records[a.Package.Name], fakeRecord{r.ID, a.Versions, r.Specific.Severity})
		}
	}
	return records, nil
}

// Database tells how much there is.
func (f *Fake) Database(ctx context.Context) (Database, error) {
	err := f.enter(ctx, "Database", "")
	defer f.mu.Unlock()
	return f.database(), err
}

func (f *Fake) database() Database {
	d := Database{Version: f.version(), Updated: f.newest()}
	for _, e := range slices.Sorted(maps.Keys(f.records)) {
		n := 0
		for _, list := range f.records[e] {
			n += len(list)
		}
		d.Ecosystems = append(d.Ecosystems, Ecosystem{Name: e, Records: int64(n), Updated: f.updated[e]})
	}
	return d
}

// change begins what changes the data; done ends it.
func (f *Fake) change(ctx context.Context, method, capability string) (done func(), err error) {
	err = f.enter(ctx, method, capability)
	defer f.mu.Unlock()
	if err == nil && f.importing {
		err = fmt.Errorf("another import or update is under way: %w", errdef.ErrConflict)
	}
	if err != nil {
		return nil, err
	}
	f.importing = true
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.importing = false
	}, nil
}

// Import reads all before it changes anything.
func (f *Fake) Import(ctx context.Context, req ImportRequest) (Database, error) {
	done, err := f.change(ctx, "Import", CapImport)
	if err != nil {
		return Database{}, err
	}
	defer done()
	if req.Format != FormatOSV {
		return Database{}, unsupported("format " + req.Format)
	}
	data, err := io.ReadAll(req.Verified())
	if err != nil {
		return Database{}, err
	}
	records, err := fakeParse(data)
	if err != nil {
		return Database{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replace(req.Ecosystem, records)
	return f.database(), nil
}

// replace makes a new version, if something changes.
func (f *Fake) replace(ecosystem string, records map[string][]fakeRecord) {
	var changed []string
	for _, all := range []map[string][]fakeRecord{f.records[ecosystem], records} {
		for name := range all {
			same := slices.EqualFunc(f.records[ecosystem][name], records[name], func(a, b fakeRecord) bool {
				return a.ID == b.ID && a.Severity == b.Severity && slices.Equal(a.Versions, b.Versions)
			})
			if !same && !slices.Contains(changed, name) {
				changed = append(changed, name)
			}
		}
	}
	if _, known := f.records[ecosystem]; known && len(changed) == 0 {
		return
	}
	f.records[ecosystem], f.updated[ecosystem] = records, time.Now().UTC()
	f.changed = append(f.changed, changed)
}

// Update takes what the mirror has.
func (f *Fake) Update(ctx context.Context, progress func(Progress) error) (Database, error) {
	done, err := f.change(ctx, "Update", CapUpdate)
	if err != nil {
		return Database{}, err
	}
	defer done()
	f.mu.Lock()
	mirror := maps.Clone(f.mirror)
	f.mu.Unlock()
	for i, ecosystem := range slices.Sorted(maps.Keys(mirror)) {
		if progress != nil {
			if err := progress(Progress{Step: ecosystem, Percent: 100 * i / len(mirror)}); err != nil {
				return Database{}, err
			}
		}
		records, err := fakeParse(mirror[ecosystem])
		if err != nil {
			return Database{}, err
		}
		f.mu.Lock()
		f.replace(ecosystem, records)
		f.mu.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.database(), nil
}

// Changes adds up the versions since.
func (f *Fake) Changes(ctx context.Context, req ChangesRequest) (Changes, error) {
	err := f.enter(ctx, "Changes", CapChanges)
	defer f.mu.Unlock()
	if err != nil {
		return Changes{}, err
	}
	if len(f.changed) == 0 {
		return Changes{}, fmt.Errorf("there are no data yet: %w", errdef.ErrConflict)
	}
	c := Changes{Version: f.version()}
	since, err := strconv.Atoi(req.Since)
	if err != nil || since < 1 || since > len(f.changed) {
		c.All = true
		return c, nil
	}
	for _, names := range f.changed[since:] {
		for _, n := range names {
			if purl := "pkg:generic/" + n; !slices.Contains(c.Packages, purl) {
				c.Packages = append(c.Packages, purl)
			}
		}
	}
	return c, nil
}
