package schema

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// KeywordSQL is that of the violations of SQL.
const KeywordSQL = "sql"

// SQL reports a text that is not one SQL statement. It reads words, not a grammar,
// so that it takes any dialect: quotes, comments and brackets close; there is one
// statement; it begins with a verb of SQL; and no list, clause or operator lacks
// what must follow. What passes may still be refused by a database. A code fence
// around the whole is taken off.
func SQL(text string) []Violation {
	text = sqlText(text)
	tokens, wrong := sqlTokens(text, false)
	if wrong != "" {
		if escaped, no := sqlTokens(text, true); no == "" {
			tokens, wrong = escaped, ""
		}
	}
	if wrong == "" {
		wrong = sqlShape(tokens)
	}
	if wrong == "" {
		return nil
	}
	return []Violation{{Keyword: KeywordSQL, Message: wrong}}
}

// sqlText takes a code fence off.
func sqlText(text string) string {
	text = strings.TrimSpace(text)
	inner, opened := strings.CutPrefix(text, fence)
	inner, closed := strings.CutSuffix(inner, fence)
	if !opened || !closed {
		return text
	}
	if info, rest, ok := strings.Cut(inner, "\n"); ok && strings.Trim(info, infoString) == "" {
		return rest
	}
	return inner
}

// sqlToken is a word in upper case, a sign, or a literal or quoted name as "?".
type sqlToken string

// sqlLiteral stands for all literals and quoted names.
const sqlLiteral = sqlToken("?")

// sqlTokens cuts a text into tokens, or says what has no end. Dialects differ in
// whether a backslash escapes a quote.
func sqlTokens(text string, backslash bool) (out []sqlToken, wrong string) {
	if at := badUTF8(text); at >= 0 {
		return nil, fmt.Sprintf("invalid UTF-8 at byte %d", at)
	}
	for text != "" {
		token, n, wrong := sqlNext(text, backslash)
		if wrong != "" {
			return nil, wrong
		}
		if token != "" {
			out = append(out, token)
		}
		text = text[n:]
	}
	return out, ""
}

// sqlNext reads a token ("" for space and comments) and its length.
func sqlNext(text string, backslash bool) (token sqlToken, n int, wrong string) {
	first, size := utf8.DecodeRuneInString(text)
	switch {
	case unicode.IsSpace(first):
		return "", size, ""
	case strings.HasPrefix(text, "--"):
		line, _, _ := strings.Cut(text, "\n")
		return "", len(line), ""
	case strings.HasPrefix(text, "/*"):
		return sqlUntil(text, 2, "*/", "a comment", "")
	case strings.ContainsRune("'\"`", first):
		return sqlQuoted(text, backslash)
	case first == '$':
		if tag := dollarTag(text); tag != "" {
			return sqlUntil(text, len(tag), tag, "a text in "+tag, sqlLiteral)
		}
	}
	isWord := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' || r == '$' || r == '@'
	}
	if !isWord(first) {
		return sqlToken(text[:size]), size, ""
	}
	n = strings.IndexFunc(text, func(r rune) bool { return !isWord(r) })
	if n < 0 {
		n = len(text)
	}
	if unicode.IsDigit(first) {
		return sqlLiteral, n, ""
	}
	return sqlToken(strings.ToUpper(text[:n])), n, ""
}

// sqlUntil reads to an end mark that is looked for from byte from on.
func sqlUntil(text string, from int, end, what string, token sqlToken) (sqlToken, int, string) {
	at := strings.Index(text[from:], end)
	if at < 0 {
		return "", 0, what + " has no end"
	}
	return token, from + at + len(end), ""
}

// sqlQuoted reads a text or a name in quotes, in which a double quote is one.
func sqlQuoted(text string, backslash bool) (sqlToken, int, string) {
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch {
		case backslash && text[i] == '\\':
			i++
		case text[i] != quote:
		case i+1 < len(text) && text[i+1] == quote:
			i++
		default:
			return sqlLiteral, i + 1, ""
		}
	}
	return "", 0, "a text in " + string(quote) + " has no end"
}

// dollarTag is the $tag$ that text begins with, "" if it doesn't.
func dollarTag(text string) string {
	end := strings.IndexByte(text[1:], '$')
	if end < 0 {
		return ""
	}
	tag := text[:end+2]
	inner := strings.Trim(tag, "$")
	if inner != "" && (unicode.IsDigit(rune(inner[0])) || strings.IndexFunc(inner, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' }) >= 0) {
		return ""
	}
	return tag
}

// sqlVerbs begin a statement, and sqlOpen are words that something must follow.
const (
	sqlVerbs = " SELECT WITH INSERT UPDATE DELETE MERGE REPLACE UPSERT VALUES TABLE CREATE ALTER DROP TRUNCATE EXPLAIN DESCRIBE SHOW " +
		"GRANT REVOKE BEGIN COMMIT ROLLBACK SET CALL ANALYZE PRAGMA COPY FROM ( "
	sqlOpen = " SELECT FROM WHERE AND OR NOT JOIN ON BY HAVING IN LIKE BETWEEN IS AS UNION EXCEPT INTERSECT SET INTO UPDATE VALUES " +
		"LIMIT OFFSET CASE WHEN THEN ELSE INSERT DELETE WITH = < > + / | , . "
	sqlClauses = " FROM WHERE GROUP HAVING ORDER LIMIT "
)

// sqlShape says what is wrong with the order of tokens.
func sqlShape(tokens []sqlToken) string {
	for len(tokens) > 0 && tokens[len(tokens)-1] == ";" {
		tokens = tokens[:len(tokens)-1]
	}
	switch {
	case len(tokens) == 0:
		return "there is no statement"
	case !isOne(string(tokens[0]), sqlVerbs):
		return fmt.Sprintf("begins with %s, which is no verb of SQL", shown(string(tokens[0])))
	case slices.Contains(tokens, ";") && !slices.Contains(tokens, "BEGIN"):
		return "there is more than one statement"
	}
	return sqlBrackets(tokens)
}

// sqlBrackets checks that brackets close, and what stands at borders.
func sqlBrackets(tokens []sqlToken) string {
	var open []sqlToken
	pairs := map[sqlToken]sqlToken{")": "(", "]": "["}
	for i, token := range tokens {
		after := sqlToken("")
		if i+1 < len(tokens) {
			after = tokens[i+1]
		}
		switch opening := pairs[token]; {
		case token == "(" || token == "[":
			open = append(open, token)
		case opening != "" && (len(open) == 0 || open[len(open)-1] != opening):
			return fmt.Sprintf("a %s closes nothing", token)
		case opening != "":
			open = open[:len(open)-1]
		}
		isEnd := after == "" || after == ")"
		if isOne(string(token), sqlOpen) && isEnd || token == "," && (after == "," || isOne(string(after), sqlClauses)) {
			return fmt.Sprintf("nothing follows %s", shown(string(token)))
		}
		if token == "(" && after == "," {
			return "a list begins with a comma"
		}
	}
	if len(open) > 0 {
		return fmt.Sprintf("a %s is not closed", open[len(open)-1])
	}
	return ""
}
