//! One statement of SQL, and one that reads.

use datafusion::{
    error::DataFusionError,
    sql::sqlparser::{
        ast::Statement,
        dialect::{self, GenericDialect, PostgreSqlDialect},
        parser::{Parser, ParserError},
        tokenizer::{Token, TokenWithSpan, Tokenizer},
    },
};

use crate::QueryError;

/// Whose grammar a text follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// What all have in common; parameters are `$1` or `?`.
    #[default]
    Standard,
    /// PostgreSQL's.
    Postgres,
}

impl Dialect {
    fn grammar(self) -> &'static dyn dialect::Dialect {
        match self {
            Self::Standard => &GenericDialect {},
            Self::Postgres => &PostgreSqlDialect {},
        }
    }
}

/// Most operators in one text: the tree of a chain of them is as deep as the chain is long, and walks down it use the stack.
const MAX_OPERATORS: usize = 1000;
/// Deepest nesting of a text. Source: DataFusion, `sql_parser.recursion_limit`.
const MAX_DEPTH: usize = 50;

/// The one statement of `text`; an error unless it reads.
pub(super) fn statement(text: &str, dialect: Dialect) -> Result<Statement, QueryError> {
    let grammar = dialect.grammar();
    let tokens = Tokenizer::new(grammar, text).tokenize_with_location();
    let mut tokens = tokens.map_err(|error| at_fault(error.into()))?;
    check_chains(&tokens)?;
    number_parameters(&mut tokens);
    let mut parser = Parser::new(grammar)
        .with_recursion_limit(MAX_DEPTH)
        .with_tokens_with_locations(tokens);
    let mut statements = parser.parse_statements().map_err(at_fault)?;
    let count = statements.len();
    match statements.pop() {
        Some(one) if count == 1 => {
            check_reads(&one)?;
            Ok(one)
        }
        _ => Err(QueryError::Parameter(format!(
            "SQL with {count} statements: must be one"
        ))),
    }
}

/// The statements of a text, in their order; what cannot be told apart stays in one piece.
pub fn split_statements(text: &str, dialect: Dialect) -> Vec<String> {
    let mut tokenizer = Tokenizer::new(dialect.grammar(), text).with_unescape(false);
    let Ok(tokens) = tokenizer.tokenize() else {
        return vec![text.to_owned()];
    };
    let statements = tokens.split(|token| *token == Token::SemiColon);
    statements
        .map(|tokens| tokens.iter().map(Token::to_string).collect::<String>())
        .filter(|statement| !statement.trim().is_empty())
        .collect()
}

fn at_fault(error: ParserError) -> QueryError {
    DataFusionError::SQL(Box::new(error), None).into()
}

fn check_reads(statement: &Statement) -> Result<(), QueryError> {
    match statement {
        Statement::Query(_)
        | Statement::ExplainTable { .. }
        | Statement::ShowTables { .. }
        | Statement::ShowColumns { .. }
        | Statement::ShowFunctions { .. }
        | Statement::ShowVariable { .. } => Ok(()),
        Statement::Explain { statement, .. } => check_reads(statement),
        other => {
            let text = other.to_string();
            let verb = text.split_whitespace().next().unwrap_or_default();
            Err(QueryError::Parameter(format!(
                "{verb}: only reading is allowed: SELECT, EXPLAIN, DESCRIBE, SHOW"
            )))
        }
    }
}

/// Gives each `?` the number of its place.
fn number_parameters(tokens: &mut [TokenWithSpan]) {
    let mut number = 0;
    for one in tokens {
        if let Token::Placeholder(name) = &mut one.token
            && name == "?"
        {
            number += 1;
            *name = format!("${number}");
        }
    }
}

/// Refuses texts whose tree could be too deep.
fn check_chains(tokens: &[TokenWithSpan]) -> Result<(), QueryError> {
    let count = tokens.iter().filter(|one| is_operator(&one.token)).count();
    if count > MAX_OPERATORS {
        return Err(QueryError::Parameter(format!(
            "SQL with {count} operators: must be at most {MAX_OPERATORS}"
        )));
    }
    Ok(())
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.value.to_ascii_uppercase().as_str(),
            "AND"
                | "OR"
                | "NOT"
                | "UNION"
                | "INTERSECT"
                | "EXCEPT"
                | "JOIN"
                | "WHEN"
                | "IS"
                | "LIKE"
        ),
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Comma
        | Token::Whitespace(_)
        | Token::LParen
        | Token::RParen
        | Token::Period
        | Token::SemiColon => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_statement_that_reads_passes() {
        for text in [
            "SELECT 1",
            "SELECT 1;",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "EXPLAIN ANALYZE SELECT 1",
            "DESCRIBE spans",
            "SHOW TABLES",
        ] {
            statement(text, Dialect::Standard).unwrap();
            statement(text, Dialect::Postgres).unwrap();
        }
        for text in [
            "",
            "SELECT 1; SELECT 2",
            "SELEC 1",
            "SET a = 1",
            "EXPLAIN DELETE FROM spans",
            "PREPARE a AS SELECT 1",
            "COPY spans TO 'a'",
            "BEGIN",
        ] {
            let fault = statement(text, Dialect::Standard).unwrap_err();
            assert_eq!(fault.kind(), "bad_data", "{text}: {fault}");
        }
    }

    #[test]
    fn statements_are_told_apart_as_they_were_written() {
        let split = split_statements("SELECT 'a;''b' ; ;\nSELECT \"c;d\"", Dialect::Postgres);
        assert_eq!(split, ["SELECT 'a;''b' ", "\nSELECT \"c;d\""]);
        assert!(split_statements(" ; ", Dialect::Postgres).is_empty());
    }

    #[test]
    fn question_marks_are_parameters_by_place() {
        let found = statement("SELECT '?' WHERE ? < 1 AND 2 > ?", Dialect::Standard).unwrap();
        assert_eq!(found.to_string(), "SELECT '?' WHERE $1 < 1 AND 2 > $2");
    }
}
