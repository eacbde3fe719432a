// Package admission decides whether an artifact may be used: an ordered list of rules, of which the first that refuses says
// what is wrong. It is asked when something is pulled, and by whoever else is about to use it.
//
// A rule looks at what its topic is about and at nothing else. What no rule is for is decided here:
//
//   - What the hub itself pulls, for a scan for example, with a credential that it made for that.
//   - Artifacts that no container can be made of: signatures, SBOMs, charts. Else nobody could fetch the signature that a rule
//     asks for. The layers decide, not what the artifact says of itself: an image that names a subject, or has the tag of a
//     signature, is an image.
//   - HEAD requests and deletes, at which the registry does not ask: who pushes has to see what is there, and a refusal of a
//     HEAD has no text.
//
// Nobody is exempt for who they are: a cloud administrator may change the rules, and the audit log tells of that.
package admission

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/openvic/vic/core/hub/settings"
	"github.com/openvic/vic/core/registry"
	"github.com/openvic/vic/core/store"
)

// Purpose is what an artifact is wanted for.
type Purpose string

// The purposes.
const (
	Pull      Purpose = "pulled"
	Run       Purpose = "run"
	Tag       Purpose = "tagged"
	Replicate Purpose = "replicated"
)

// Subject is who wants what.
type Subject struct {
	Purpose   Purpose
	ProjectID int64
	// Artifact has Project, Repository, Digest and MediaType at least.
	Artifact registry.Artifact
	Tag      string // "" if it was asked for by digest
	Caller   string // the name; "" for one who did not sign in
	// Own says that the hub itself asks, by a credential that it made.
	Own bool
	// Pushing says that the caller may push, and came to do that or to sign: who is about to sign must read what is not signed.
	Pushing bool
	// Metadata is what is set of the project, in Harbor's words. Ask fills it in.
	Metadata map[string]string
}

// Name is the artifact as people write it.
func (s Subject) Name() string {
	if s.Tag != "" {
		return s.Artifact.Repository + ":" + s.Tag
	}
	return s.Artifact.Repository + "@" + s.Artifact.Digest.String()
}

// Refusal says why not, for people.
type Refusal struct {
	// Rule is a word for programs: "vulnerability", "signature".
	Rule string
	// Why is what is wrong with the artifact, and Do what somebody can do about it: two sentences, without the name of the
	// artifact and without a dot at the end.
	Why, Do string
}

// Code is Harbor's for a refusal; its HTTP status is 412.
const Code = "PROJECTPOLICYVIOLATION"

// Text is the whole of it.
func (r *Refusal) Text(s Subject) string {
	text := fmt.Sprintf("%s cannot be %s: %s", s.Name(), s.Purpose, r.Why)
	if r.Do != "" {
		text += ". " + r.Do
	}
	return text + "."
}

// Rule is one thing that may be wrong with an artifact. Check is called by several goroutines, for each pull of the hub: a rule
// that is off for the project answers from Subject.Metadata alone. nil, nil: it has nothing against it. An error: the rule cannot
// say, and the artifact is not handed out.
type Rule interface {
	Check(ctx context.Context, s Subject) (*Refusal, error)
}

// Admission asks the rules.
type Admission struct {
	db       *store.Store
	settings *settings.Settings
	rules    []Rule
}

// New makes an Admission with its rules in the order in which they are asked.
func New(db *store.Store, s *settings.Settings, rules ...Rule) *Admission {
	return &Admission{db: db, settings: s, rules: rules}
}

// Ask asks all rules until one refuses.
func (a *Admission) Ask(ctx context.Context, s Subject) (*Refusal, Subject, error) {
	if s.Own || len(a.rules) == 0 {
		return nil, s, nil
	}
	var err error
	if s.Metadata, err = a.metadata(ctx, s.ProjectID); err != nil {
		return nil, s, err
	}
	for _, rule := range a.rules {
		r, err := rule.Check(ctx, s)
		if err != nil {
			return nil, s, err
		}
		if r == nil {
			continue
		}
		runs, err := a.Runnable(ctx, s.Artifact)
		if err != nil {
			return nil, s, err
		}
		if !runs {
			r = nil
		}
		return r, s, nil
	}
	return nil, s, nil
}

// projectKey is what metadata are remembered by.
type projectKey int64

func (a *Admission) metadata(ctx context.Context, project int64) (map[string]string, error) {
	return store.Remember(ctx, projectKey(project), func() (map[string]string, error) {
		return a.settings.Metadata(ctx, a.db, project)
	})
}

// Runnable says whether a container could be made of an artifact, or of one that it names: whether it is an index, or has a layer
// of an image.
func (a *Admission) Runnable(ctx context.Context, x registry.Artifact) (bool, error) {
	if x.MediaType == v1.MediaTypeImageIndex || x.MediaType == dockerList {
		return true, nil
	}
	var payload []byte
	err := a.db.Point(ctx, `SELECT b.payload FROM manifest m JOIN manifest_payload b ON b.manifest_id = m.id JOIN repo r ON r.id = m.repo_id
		WHERE r.name = $1 AND m.digest = $2`, x.Repository, x.Digest.String()).Scan(&payload)
	if errors.Is(err, sql.ErrNoRows) { // it went in this moment
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return HasImageLayer(payload), nil
}

const dockerList = "application/vnd.docker.distribution.manifest.list.v2+json"

// imageTypes begin the media types of an image's layers, OCI's and Docker's.
var imageTypes = []string{"application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."}

// pulledTypes are the other types of layers of which Docker's puller makes an image, whole or by their beginning (distribution/
// registry.go of Moby 28).
var (
	pulledTypes    = []string{"", "application/octet-stream", "application/json", "text/html"}
	pulledPrefixes = []string{"application/vnd.oci.image.", "application/vnd.docker."}
)

// HasImageLayer says whether a container could be made of what a manifest names: it has a layer of a type that clients take for one of
// an image. A text that is the type of an image's layer counts wherever it is: programs read a document that has a key twice, or in
// capitals, in different ways. What cannot be read may be anything.
func HasImageLayer(manifest []byte) bool {
	d := json.NewDecoder(bytes.NewReader(manifest))
	var in []frame
	for {
		token, err := d.Token()
		if err != nil {
			return !errors.Is(err, io.EOF)
		}
		if text, ok := token.(string); ok && slices.ContainsFunc(imageTypes, func(t string) bool { return strings.HasPrefix(strings.ToLower(text), t) }) {
			return true
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			last := in[len(in)-1]
			if in = in[:len(in)-1]; inLayers(in) && delim == '}' && !last.typed { // a layer without a type
				return true
			}
			if len(in) > 0 {
				in[len(in)-1].value()
			}
			continue
		}
		if len(in) > 0 && in[len(in)-1].wantsKey {
			in[len(in)-1].key, in[len(in)-1].wantsKey = token.(string), false //nolint:forcetypeassert // the decoder gives nothing else here
			continue
		}
		if inLayers(in) && token != json.Delim('{') { // a layer that is no object
			return true
		}
		if len(in) == 3 && inLayers(in[:2]) && strings.EqualFold(in[2].key, "mediaType") {
			text, ok := token.(string)
			if in[2].typed = true; !ok || pulled(text) {
				return true
			}
		}
		if delim, ok := token.(json.Delim); ok {
			in = append(in, frame{object: delim == '{', wantsKey: delim == '{'})
		} else if len(in) > 0 {
			in[len(in)-1].value()
		}
	}
}

// frame is an object or a list that has been begun, and the key whose value comes.
type frame struct {
	object, wantsKey, typed bool
	key                     string
}

// value notes that a value has ended.
func (f *frame) value() { f.wantsKey = f.object }

// inLayers says whether the elements of the manifest's list of layers come.
func inLayers(in []frame) bool {
	return len(in) == 2 && in[0].object && strings.EqualFold(in[0].key, "layers") && !in[1].object
}

// pulled says whether Docker's puller takes a type for one of a layer.
func pulled(mediaType string) bool {
	low := strings.ToLower(mediaType)
	return slices.Contains(pulledTypes, low) || slices.ContainsFunc(pulledPrefixes, func(p string) bool { return strings.HasPrefix(low, p) })
}
