package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/openvic/vic/core/hub/dockerauth"
)

// admin is the first user of the plugin of local users.
const admin = "admin@local"

// ask asks the hub as its first user.
func ask(ctx context.Context, s *process, method, path, body string) (*http.Response, []byte, error) {
	password, err := os.ReadFile(filepath.Join(s.dir, "people", "first-password"))
	if err != nil {
		return nil, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.SetBasicAuth(admin, strings.TrimSpace(string(password)))
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 && res.StatusCode != http.StatusConflict {
		err = fmt.Errorf("%s %s: %s: %s", method, path, res.Status, b)
	}
	return res, b, err
}

// signUp makes the project of the load, private, and signs in.
func signUp(ctx context.Context, s *process, l *load) error {
	if _, _, err := ask(ctx, s, "POST", "/api/v2.0/projects", `{"project_name": "bench", "storage_limit": 1099511627776}`); err != nil {
		return err
	}
	return signIn(ctx, s, l)
}

// signIn gets a token, which is good for five minutes.
func signIn(ctx context.Context, s *process, l *load) error {
	_, b, err := ask(ctx, s, "GET", dockerauth.TokenPath+"?service=vic-hub&scope=repository:"+strings.TrimPrefix(repo, "/v2/")+":pull,push", "")
	if err != nil {
		return err
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return err
	}
	l.header = "Bearer " + answer.Token
	return nil
}
