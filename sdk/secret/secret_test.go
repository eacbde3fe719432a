package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/openvic/vic/sdk/secret"
)

func TestNoWayOfPrintingShowsASecret(t *testing.T) {
	type request struct {
		User     string
		Password secret.Text
	}
	r := request{User: "dev", Password: "hunter2"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("login", "request", r, "password", r.Password)
	slog.New(slog.NewTextHandler(&log, nil)).Info("login", "request", r, "password", r.Password)
	stored, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%v %+v %#v %s %q %x", r, &r, r, r.Password, r.Password, r.Password)
	for _, out := range []string{log.String(), string(stored), printed} {
		if strings.Contains(out, "hunter2") || strings.Contains(out, fmt.Sprintf("%x", "hunter2")) || !strings.Contains(out, "dev") {
			t.Errorf("printed %s", out)
		}
	}
	if string(r.Password) != "hunter2" || secret.Text("").String() != "" {
		t.Error("the secret itself is lost, or an empty one looks like one that is there")
	}
}
