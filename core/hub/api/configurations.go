package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/openvic/vic/core/hub/authz"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/scanning"
	"github.com/openvic/vic/core/hub/settings"
)

func configurationRoutes() []route {
	return []route{
		{method: "GET", path: "/configurations", id: "getConfigurations", needs: role.Configuration, run: (*api).configurations,
			says: "Tell the hub's settings, and which of them can be changed", gives: map[string]settingForm{}},
		{method: "PUT", path: "/configurations", id: "updateConfigurations", needs: role.Configuration, run: (*api).configure,
			says: "Change some of the hub's settings", takes: map[string]any{}},
	}
}

// settingForm is Harbor's form of one.
type settingForm struct {
	Value    any  `json:"value"`
	Editable bool `json:"editable"`
}

// setting is one that can be changed: how it is told, and how it is read.
type setting struct {
	get func(settings.Values) any
	set func(*settings.Values, any) error
}

// changeable are the settings that can be changed, in Harbor's words.
var changeable = map[string]setting{
	"read_only": {func(v settings.Values) any { return v.ReadOnly },
		func(v *settings.Values, x any) (err error) { v.ReadOnly, err = truth(x); return err }},
	"token_expiration": {func(v settings.Values) any { return v.TokenMinutes },
		func(v *settings.Values, x any) error { n, err := whole(x); v.TokenMinutes = int(n); return err }},
	"robot_token_duration": {func(v settings.Values) any { return v.RobotDays },
		func(v *settings.Values, x any) error { n, err := whole(x); v.RobotDays = int(n); return err }},
	"storage_per_project": {func(v settings.Values) any { return v.ProjectBytes },
		func(v *settings.Values, x any) (err error) { v.ProjectBytes, err = whole(x); return err }},
	"banner_message": {func(v settings.Values) any { return v.Banner },
		func(v *settings.Values, x any) error {
			text, ok := x.(string)
			if v.Banner = text; !ok {
				return fmt.Errorf("want a text")
			}
			return nil
		}},
	// Ours: which images are taken where a project says nothing.
	scanning.MetadataPrevent: {func(v settings.Values) any { return v.PreventVul },
		func(v *settings.Values, x any) (err error) { v.PreventVul, err = truth(x); return err }},
	scanning.MetadataSeverity: {func(v settings.Values) any { return cmp.Or(v.Severity, "low") },
		func(v *settings.Values, x any) (err error) {
			v.Severity, err = oneOf(x, metadataValues[scanning.MetadataSeverity])
			return err
		}},
	scanning.MetadataUnscanned: {func(v settings.Values) any { return cmp.Or(v.Unscanned, "refuse") },
		func(v *settings.Values, x any) (err error) {
			v.Unscanned, err = oneOf(x, metadataValues[scanning.MetadataUnscanned])
			return err
		}},
	scanning.MetadataGrace: {func(v settings.Values) any { return v.GraceDays },
		func(v *settings.Values, x any) error {
			n, err := whole(x)
			if err == nil && (n < 0 || n > scanning.MaxGraceDays) {
				err = fmt.Errorf("want 0 to %d days", scanning.MaxGraceDays)
			}
			v.GraceDays = int(n)
			return err
		}},
}

// oneOf reads one of some words.
func oneOf(x any, words []string) (string, error) {
	word, ok := x.(string)
	if !ok || !slices.Contains(words, word) {
		return "", fmt.Errorf("want one of %s", strings.Join(words, ", "))
	}
	return word, nil
}

// creation is Harbor's word for who makes projects: the table of roles says cloud administrators.
const creation = "adminonly"

// fixed are the settings that Harbor has and the hub does not let anybody change, with what they are.
var fixed = map[string]any{
	"auth_mode": authMode, "primary_auth_mode": false, "self_registration": false, "project_creation_restriction": creation,
	"robot_name_prefix": authz.RobotPrefix, "quota_per_project_enable": true,
}

// truth reads true, false, or the same as a text, which old clients send.
func truth(x any) (bool, error) {
	switch v := x.(type) {
	case bool:
		return v, nil
	case string:
		if b, err := strconv.ParseBool(v); err == nil {
			return b, nil
		}
	}
	return false, fmt.Errorf("want true or false")
}

// whole reads a whole number, or one as a text.
func whole(x any) (int64, error) {
	switch v := x.(type) {
	case float64:
		if n := int64(v); float64(n) == v {
			return n, nil
		}
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("want a whole number")
}

func (a *api) configurations(c *call) error {
	v, err := a.Settings.Now(c.r.Context())
	if err != nil {
		return err
	}
	out := map[string]settingForm{}
	for name, x := range fixed {
		out[name] = settingForm{Value: x}
	}
	for name, s := range changeable {
		out[name] = settingForm{s.get(v), true}
	}
	return c.answer(http.StatusOK, out)
}

// empty says whether a value is what clients send for a setting that they do not mean.
func empty(x any) bool {
	switch v := x.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, y := range v {
			if !empty(y) {
				return false
			}
		}
		return true
	}
	return false
}

// configure sets all that a client names, or nothing. Harbor's clients also send settings that they know and that are
// empty: those are let be.
func (a *api) configure(c *call) error {
	var q map[string]any
	if err := c.body(&q); err != nil {
		return err
	}
	changes := map[string]setting{}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		is, stays := fixed[name]
		s, known := changeable[name]
		switch {
		case known:
			changes[name] = s
		case stays && q[name] != is && !empty(q[name]):
			return badRequest("%s: it is %v here and stays so", name, is)
		case !stays && !empty(q[name]):
			return badRequest("%s: the hub has no such setting: see hub.toml, and the configuration of the plugin that it belongs to", name)
		}
	}
	var said []string
	err := a.Settings.Change(c.r.Context(), func(v *settings.Values) error {
		said = said[:0]
		for _, name := range slices.Sorted(maps.Keys(changes)) {
			before, _ := json.Marshal(changes[name].get(*v))
			if err := changes[name].set(v, q[name]); err != nil {
				return badRequest("%s: %v", name, err)
			}
			if after, _ := json.Marshal(changes[name].get(*v)); string(before) != string(after) {
				said = append(said, fmt.Sprintf("%s: %.100s, was %.100s", name, after, before))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.detail = strings.Join(said, "; ")
	return c.empty(http.StatusOK)
}
