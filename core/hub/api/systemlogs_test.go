package api

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/openvic/vic/core/bundle"
)

// bundle gathers one file, with a secret in it.
func (r *rig) bundle(_ context.Context, who string) *bundle.Bundle {
	b := &bundle.Bundle{}
	b.Add("who.txt", who+" password=hunter2\n")
	return b
}

func TestSystemLogsAreSearched(t *testing.T) {
	r := newRig(t, "sqlite:"+t.TempDir()+"/hub.db")
	log := slog.New(r.logs.Handler(slog.DiscardHandler))
	log.Info("one", "n", 1)
	log.With("plugin", "local").Warn("two")
	log.Error("three")
	const admin = "cloud-admin"
	var list []systemLineForm
	if h := r.api(admin, "GET", "/system/logs?page_size=2", "", 200, &list); len(list) != 2 || list[0].Message != "three" || h.Get("X-Total-Count") != "3" {
		t.Fatalf("%+v %v", list, h)
	}
	two := list[1].ID
	for _, c := range []struct{ query, want string }{
		{"q=level=warning", "three two"}, {"q=plugin=local", "two"}, {"q=plugin=hub", "three one"}, {"q=text=n%3D1", "one"}, {"q=text=WO", "two"},
		{"q=time=[2000-01-01~2001-01-01]", ""}, {"q=time=[2000-01-01~]", "three two one"}, {"after=" + strconv.FormatInt(two, 10), "three"}, {"page=2&page_size=2", "one"},
	} {
		list = nil
		r.api(admin, "GET", "/system/logs?"+c.query, "", 200, &list)
		var got []string
		for _, l := range list {
			got = append(got, l.Message)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", c.query, got, c.want)
		}
	}
	for _, q := range []string{"q=level=loud", "q=nothing=1", "after=x", "after=-1", "q=time=[yesterday~]"} {
		r.api(admin, "GET", "/system/logs?"+q, "", 400, nil)
	}
}

func TestALogBundleIsToldOf(t *testing.T) {
	r := newRig(t, "sqlite:"+t.TempDir()+"/hub.db")
	const admin = "cloud-admin"
	status, header, body := r.do(admin, "GET", Prefix+"/system/support-bundle", "", "")
	if status != 200 || !strings.Contains(header.Get("Content-Disposition"), "vic-hub-") {
		t.Fatalf("%d %v", status, header)
	}
	zip, err := gzip.NewReader(strings.NewReader(body))
	must(t, err)
	text, err := io.ReadAll(zip)
	must(t, err)
	if s := string(text); !strings.Contains(s, "cloud-admin password=[removed]") || strings.Contains(s, "hunter2") {
		t.Errorf("%q", s)
	}
	var lines []line
	if r.api(admin, "GET", "/audit-logs?q=operation=read", "", 200, &lines); len(lines) != 1 || lines[0].Type != "support-bundle" || lines[0].User != admin {
		t.Errorf("%+v", lines)
	}
}
