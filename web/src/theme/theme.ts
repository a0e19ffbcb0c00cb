import { createTheme, type CSSVariablesResolver } from "@mantine/core";

/** Mantine's own scale of cyan holds both accents: #0b7285 is its shade 9, #3bc9db its shade 4. */
export const theme = createTheme({
  primaryColor: "cyan",
  primaryShade: { light: 9, dark: 4 },
  autoContrast: true,
  fontFamily: "var(--font)",
  fontFamilyMonospace: "var(--mono)",
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "20px" },
  spacing: { xs: "4px", sm: "8px", md: "16px", lg: "24px", xl: "32px" },
  radius: { xs: "2px", sm: "4px", md: "8px", lg: "8px", xl: "8px" },
  defaultRadius: "sm",
  respectReducedMotion: true,
  headings: { sizes: { h1: { fontSize: "28px" }, h2: { fontSize: "20px" }, h3: { fontSize: "16px" } } },
});

const shared = {
  "--mantine-color-body": "var(--bg)",
  "--mantine-color-text": "var(--fg)",
  "--mantine-color-dimmed": "var(--muted)",
  "--mantine-color-anchor": "var(--accent)",
  "--mantine-color-placeholder": "var(--muted)",
  "--mantine-color-error": "var(--bad)",
  "--mantine-color-default-border": "var(--line)",
};

/** Mantine's variables read our tokens, so there is one list of colours (tokens.css). */
export const variables: CSSVariablesResolver = () => ({ variables: {}, light: shared, dark: shared });
