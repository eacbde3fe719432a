package strict

import "strings"

// lineOf finds the line (from 1) on which a key stands, or the nearest table around it; 0 if there
// is none. It reads TOML well enough for a message: it knows tables, dotted and quoted keys, comments
// and multi-line strings.
func lineOf(text string, key []string) int {
	var table []string
	best, bestLen, open := 0, 0, ""
	for i, line := range strings.Split(text, "\n") {
		if open != "" {
			if strings.Contains(line, open) {
				open = ""
			}
			continue
		}
		line = strings.TrimSpace(line)
		var path []string
		switch {
		case line == "" || line[0] == '#':
			continue
		case line[0] == '[' && strings.Contains(line, "]"):
			table = splitKey(strings.Trim(strings.TrimSpace(cutComment(line)), "[]"))
			path = table
		default:
			name, value, ok := strings.Cut(line, "=")
			if !ok {
				continue
			}
			open = opened(value)
			path = append(append([]string(nil), table...), splitKey(name)...)
		}
		if hasPrefix(key, path) && len(path) > bestLen || hasPrefix(path, key) && bestLen < len(key) {
			best, bestLen = i+1, min(len(path), len(key))
		}
	}
	return best
}

// opened returns the quotes of a multi-line string that begins and does not end in value.
func opened(value string) string {
	for _, q := range []string{`"""`, `'''`} {
		if strings.Count(value, q)%2 == 1 {
			return q
		}
	}
	return ""
}

func cutComment(line string) string {
	if i := strings.Index(line, "#"); i > 0 {
		return line[:i]
	}
	return line
}

func splitKey(s string) []string {
	parts := strings.Split(strings.TrimSpace(s), ".")
	for i, p := range parts {
		parts[i] = strings.Trim(strings.TrimSpace(p), `"'`)
	}
	return parts
}

// nearest returns the known key that differs by a slip of the finger or two; "" if there is none.
func nearest(key string, known []string) string {
	best, bestDist := "", 3
	for _, k := range known {
		if d := distance(key, k); d < bestDist {
			best, bestDist = k, d
		}
	}
	return best
}

// distance is the number of letters to add, drop or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j+1]+1, row[j]+1, last+cost)
			last, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
