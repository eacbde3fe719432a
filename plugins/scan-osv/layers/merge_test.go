package layers

import (
	"slices"
	"strings"
	"testing"

	"github.com/openvic/vic/plugins/scan-osv/imagetest"
)

func debs(packages ...string) imagetest.File {
	var text strings.Builder
	for _, p := range packages {
		name, version, _ := strings.Cut(p, " ")
		text.WriteString("Package: " + name + "\nStatus: install ok installed\nVersion: " + version + "\n\n")
	}
	return imagetest.File{Name: "var/lib/dpkg/status", Text: text.String()}
}

func npm(path, name, version string) imagetest.File {
	return imagetest.File{Name: path + "/package.json", Text: `{"name": "` + name + `", "version": "` + version + `"}`}
}

func TestImageIsWhatItsLayersLeave(t *testing.T) {
	type files = []imagetest.File
	for name, c := range map[string]struct {
		layers []files
		want   []string // name version layer
	}{
		"a package has the layer that brought it": {[]files{{debs("bash 5", "zlib 1")}, {debs("bash 5", "zlib 2", "curl 8")}, {debs("bash 5", "zlib 2", "curl 8")}},
			[]string{"bash 5 a", "curl 8 b", "zlib 2 b"}},
		"a package that was away comes anew": {[]files{{debs("bash 5")}, {debs("zlib 1")}, {debs("bash 5", "zlib 1")}}, []string{"bash 5 c", "zlib 1 b"}},
		"a whiteout removes a file":          {[]files{{npm("app/a", "a", "1"), npm("app/b", "b", "1")}, {{Name: "app/a/.wh.package.json"}}}, []string{"b 1 a"}},
		"a whiteout removes a folder":        {[]files{{npm("app/a", "a", "1"), npm("b", "b", "1")}, {{Name: ".wh.app"}}}, []string{"b 1 a"}},
		"an opaque folder hides what is below, and what comes with it stays": {[]files{{npm("app/a", "a", "1")},
			{npm("app/b", "b", "1"), {Name: "app/.wh..wh..opq"}}},
			[]string{"b 1 b"}},
		"an opaque root hides all":            {[]files{{npm("app/a", "a", "1")}, {{Name: ".wh..wh..opq"}, npm("app/b", "b", "1")}}, []string{"b 1 b"}},
		"a file in the place of a folder":     {[]files{{npm("app/a", "a", "1")}, {{Name: "app", Text: "x"}}}, nil},
		"a file that tells nothing hides one": {[]files{{npm("app", "a", "1")}, {{Name: "app/package.json", Text: "{}"}}}, nil},
		"a folder again hides nothing":        {[]files{{npm("app/a", "a", "1")}, {{Name: "app/"}, {Name: "app/a/"}}}, []string{"a 1 a"}},
		"the last of two entries of a path":   {[]files{{npm("app", "a", "1"), npm("app", "a", "2")}}, []string{"a 2 a"}},
		"paths are what they mean":            {[]files{{npm("../../app/x/..", "a", "1")}, {npm("/app/.", "a", "2")}}, []string{"a 2 b"}},
		"apk's database is one, whatever its folder": {[]files{{{Name: "lib/apk/db/installed", Text: "P:a\nV:1\n\n"}},
			{{Name: "usr/lib/apk/db/installed", Text: "P:a\nV:2\n\n"}}},
			[]string{"a 2 b"}},
	} {
		t.Run(name, func(t *testing.T) {
			var list []*Layer
			var ids []string
			for i, f := range c.layers {
				list, ids = append(list, read(t, f...)), append(ids, string(rune('a'+i)))
			}
			var got []string
			for _, p := range Merge(list, ids).Packages {
				got = append(got, p.Name+" "+p.Version+" "+p.Layer)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLayerThatWasNotLookedAtHidesNothing(t *testing.T) {
	image := Merge([]*Layer{read(t, debs("bash 5")), nil}, []string{"a", "b"})
	if len(image.Packages) != 1 {
		t.Errorf("%+v", image)
	}
}

func TestDistributionIsThatOfTheHighestLayer(t *testing.T) {
	for name, c := range map[string]struct {
		upper imagetest.File
		want  string
	}{
		"none above":     {imagetest.File{Name: "tmp/x"}, "12"},
		"etc wins":       {imagetest.File{Name: "etc/os-release", Text: "ID=debian\nVERSION_ID='13'\n"}, "13"},
		"usr below etc":  {imagetest.File{Name: "usr/lib/os-release", Text: "ID=debian\nVERSION_ID=13\n"}, "12"},
		"taken away":     {imagetest.File{Name: "etc/.wh.os-release"}, ""},
		"not a file now": {imagetest.File{Name: "etc", Text: "x"}, ""},
	} {
		lower := read(t, imagetest.File{Name: "etc/os-release", Text: "ID=debian\nVERSION_ID=\"12\"\n"})
		if got := Merge([]*Layer{lower, read(t, c.upper)}, []string{"a", "b"}).Distro.Version; got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
